"""A deployment is taken whole or not at all, and the server hears what came of it."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from pelix.framework import BundleContext
from typing_extensions import override

from inaetics.bundles.archive import Archive, open_archive
from inaetics.bundles.exchange import SERVERS, WITHIN_S, Registration
from inaetics.bundles.records import CURRENT, Rule, Version
from inaetics.node import deployer as deployer_module
from inaetics.node import in_force as in_force_module
from inaetics.node.deployer import HOLD_S, Deployer, Trust
from inaetics.node.in_force import InForce
from inaetics.node.installer import Installer
from inaetics.node.loader import BundleLoader
from inaetics.node.memory import MOST_TRIES, Memory
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.store.fake import FakeStore
from tests.support.bundles import packed
from tests.support.eventually import eventually
from tests.support.fake_provisioning import FakeProvisioning
from tests.support.signing import signing

ACTIVATOR = """
    import threading
    from pelix.constants import BundleActivator

    @BundleActivator
    class Activator:
        def start(self, context):
            context.register_service("named", self, {{"name": {name!r}}})
            {start}
        def stop(self, context):
            pass
"""


class KeyOrder(Random):
    """Draws servers in the order in which they were made."""

    @override
    def sample(self, population: Any, k: int, *, counts: Any = None) -> list[Any]:
        return list(population)[:k]


class Bench:
    """An agent's deployer in this process, and the servers it knows."""

    def __init__(self, context: BundleContext, directory: Path) -> None:
        self.context = context
        self.directory = directory
        self.servers: list[FakeProvisioning] = []
        self.failures: list[str] = []
        self._fake = FakeStore()
        self._running: list[tuple[Deployer, EtcdThread, Installer]] = []

    def server(self) -> FakeProvisioning:
        made = FakeProvisioning()
        self.servers.append(made)
        return made

    def start(self, trust: Trust | None = None) -> Deployer:
        """A deployer that knows the servers made so far."""
        installer = Installer(BundleLoader(self.context))
        trust = trust or Trust()
        deployer = Deployer(
            "a",
            installer,
            self.directory,
            where="here",
            failed=self.failures.append,
            trust=trust,
            random=KeyOrder(),
        )
        thread = EtcdThread(self._open, failed=self.failures.append)
        thread.add("servers", deployer.follow_servers)
        if trust.in_force is not None:
            thread.add("in force", trust.in_force.follow)
        thread.start()
        deployer.start()
        self._running.append((deployer, thread, installer))
        return deployer

    def stop(self) -> None:
        """As at the end of a process."""
        while self._running:
            deployer, thread, installer = self._running.pop()
            deployer.stop()
            installer.stop_all()
            thread.stop()

    def put_in_force(self, number: int, archives: Sequence[Archive]) -> None:
        """Let etcd say that this version gives these archives to every target."""
        hashes = {archive.manifest.name_and_version: archive.sha256 for archive in archives}
        rules = (Rule(target="*", bundles=tuple(hashes)),)
        version = Version(version=number, text="", rules=rules, archives=hashes, within_s=WITHIN_S)
        put = self._fake.put(CURRENT, msgspec.json.encode(version))
        loop = self._running[-1][1].loop if self._running else None
        if loop is None:
            asyncio.run(put)
        else:
            asyncio.run_coroutine_threadsafe(put, loop).result(10)

    def close(self) -> None:
        self.stop()
        for server in self.servers:
            server.close()
        assert self.failures == []

    def names(self) -> set[str]:
        references: list[Any] = self.context.get_all_service_references("named", None) or []
        return {reference.get_property("name") for reference in references}

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[FakeStore]:
        for number, server in enumerate(self.servers):
            value = msgspec.json.encode(Registration(url="http://127.0.0.1:1", agents_url=server.url))
            await self._fake.put(f"{SERVERS}{number}", value)
        yield self._fake


@pytest.fixture
def bench(context: BundleContext, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(context, tmp_path / "agent")
    yield made
    made.close()


def bundle(root: Path, name: str, version: str = "1.0.0", *, start: str = "pass", requires: str = "") -> Archive:
    source = ACTIVATOR.format(name=f"{name}-{version}", start=start)
    return open_archive(packed(root, name, version, init=source, requires=requires))


def reported(server: FakeProvisioning, *states: tuple[str, str]) -> None:
    eventually(lambda: server.states() == list(states), within_s=30, what=f"reports {states}")


def test_only_what_changed_is_fetched_and_each_deployment_is_reported(bench: Bench, tmp_path: Path) -> None:
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x"), bundle(tmp_path, "y")])
    bench.start()
    reported(server, ("1", "installed"))
    server.deploy("a", [bundle(tmp_path, "x", "1.1.0"), bundle(tmp_path, "y")])
    reported(server, ("1", "installed"), ("2", "installed"))
    assert server.fetched == ["x-1.0.0", "y-1.0.0", "x-1.1.0"]
    last = server.reports[-1]
    assert (last.started, last.stopped, last.error) == (("x-1.1.0",), ("x-1.0.0",), "")
    assert bench.names() == {"x-1.1.0", "y-1.0.0"}


@pytest.mark.parametrize(
    ("start", "requires", "state", "words"),
    [
        pytest.param("raise OSError('disk full')", "", "rolled-back", "OSError: disk full", id="raises"),
        pytest.param("threading.Event().wait()", "", "rolled-back", "did not start within 0.8 s", id="hangs"),
        pytest.param("pass", "storing", "failed", "requires 'storing'", id="requirement"),
    ],
)
def test_deployment_that_does_not_work_goes_back_and_is_reported(
    bench: Bench, tmp_path: Path, start: str, requires: str, state: str, words: str
) -> None:
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    deployer = bench.start()
    reported(server, ("1", "installed"))
    bad = bundle(tmp_path, "y", start=start, requires=requires)
    server.deploy("a", [bundle(tmp_path, "x", "1.1.0"), bad], within_s=0.8 if "within" in words else WITHIN_S)
    reported(server, ("1", "installed"), ("2", state))
    assert words in server.reports[-1].error
    assert bench.names() == {"x-1.0.0"}
    assert words in deployer.standing.refusal
    server.deploy("a", [bundle(tmp_path, "x", "1.2.0")])
    reported(server, ("1", "installed"), ("2", state), ("3", "installed"))
    assert bench.names() == {"x-1.2.0"}
    assert deployer.standing.refusal == ""


def test_bundle_that_nobody_we_know_signed_is_not_taken(bench: Bench, tmp_path: Path) -> None:
    ours, theirs = signing(tmp_path / "ours"), signing(tmp_path / "theirs")
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")], sign=ours.sign)
    bench.start(Trust(anchors=ours.anchors))
    reported(server, ("1", "installed"))
    new = bundle(tmp_path, "x", "1.1.0")
    server.deploy("a", [new], sign=theirs.sign)
    reported(server, ("1", "installed"), ("2", "failed"))
    assert "bundle x-1.1.0 is not taken: it is signed by 'signer'" in server.reports[-1].error
    server.deploy("a", [new])
    reported(server, ("1", "installed"), ("2", "failed"), ("3", "failed"))
    assert "bundle x-1.1.0 is not taken: it is not signed" in server.reports[-1].error
    assert server.fetched == ["x-1.0.0"], "it is not even fetched"
    assert bench.names() == {"x-1.0.0"}
    server.deploy("a", [new], sign=ours.sign)
    reported(server, ("1", "installed"), ("2", "failed"), ("3", "failed"), ("4", "installed"))


def test_archive_that_is_another_is_refused_and_asked_for_again(bench: Bench, tmp_path: Path) -> None:
    server = bench.server()
    new = bundle(tmp_path, "x", "1.1.0")
    server.deploy("a", [bundle(tmp_path, "x")])
    bench.start()
    reported(server, ("1", "installed"))
    server.deploy("a", [new], body=lambda archive: archive.path.read_bytes().replace(b"named", b"taken"))
    reported(server, ("1", "installed"), ("2", "failed"))
    assert "is not what was asked for" in server.reports[-1].error
    assert bench.names() == {"x-1.0.0"}
    eventually(lambda: server.fetched.count("x-1.1.0") >= 2, within_s=30, what="it is tried again")
    server._bodies["/bundles/x/1.1.0"] = new.path.read_bytes()
    reported(server, ("1", "installed"), ("2", "failed"), ("2", "installed"))


def test_server_that_dies_in_a_download_is_replaced_by_another(bench: Bench, tmp_path: Path) -> None:
    first, second = bench.server(), bench.server()
    first.cut = True
    for server in (first, second):
        server.deploy("a", [bundle(tmp_path, "x")])
    bench.start()
    reported(second, ("1", "installed"))
    assert first.fetched == ["x-1.0.0"]
    assert first.reports == []
    assert bench.names() == {"x-1.0.0"}


def test_full_disk_is_named_and_the_old_version_runs_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    deployer = bench.start()
    reported(server, ("1", "installed"))
    write = Path.write_bytes
    full = True

    def no_room(path: Path, data: bytes) -> int:
        if full and bench.directory in path.parents:
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    new = bundle(tmp_path, "x", "1.1.0")
    monkeypatch.setattr(Path, "write_bytes", no_room)
    server.deploy("a", [new])
    eventually(lambda: "No space left on device" in deployer.standing.trouble, within_s=30, what="it is named")
    assert "cannot keep bundle x-1.1.0" in deployer.standing.trouble
    assert list(bench.directory.rglob("*.partial")) == []
    assert bench.names() == {"x-1.0.0"}
    full = False
    reported(server, ("1", "installed"), ("2", "installed"))


def test_deployment_that_comes_while_one_is_installed_is_installed_next(bench: Bench, tmp_path: Path) -> None:
    gate, begun = threading.Event(), threading.Event()
    bench.context.get_framework().add_property("gate", (begun, gate))
    wait = "begun, gate = context.get_property('gate'); begun.set(); gate.wait()"
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x", start=wait)])
    bench.start()
    assert begun.wait(30)
    server.deploy("a", [bundle(tmp_path, "x", "1.1.0")])
    server.deploy("a", [bundle(tmp_path, "x", "1.2.0")])
    gate.set()
    reported(server, ("1", "installed"), ("3", "installed"))
    assert bench.names() == {"x-1.2.0"}


def test_agent_that_was_killed_in_an_install_starts_whole(bench: Bench, tmp_path: Path) -> None:
    """What a kill leaves: a record of what ran, half an archive, and a try that was begun."""
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    bench.start()
    reported(server, ("1", "installed"))
    bench.stop()
    gate, begun = threading.Event(), threading.Event()
    bench.context.get_framework().add_property("gate", (begun, gate))
    wait = "begun, gate = context.get_property('gate'); begun.set(); gate.wait()"
    version = server.deploy("a", [bundle(tmp_path, "x", "1.1.0", start=wait)])
    Memory(bench.directory).begin(version)
    (bench.directory / "bundles" / "x-1.1.0-0000.partial").write_bytes(b"PK")
    bench.start()
    assert begun.wait(30)
    assert "x-1.0.0" in bench.names(), "what ran last runs while it is tried once more"
    gate.set()
    reported(server, ("1", "installed"), ("2", "installed"))
    assert bench.names() == {"x-1.1.0"}
    assert sorted(path.name[:7] for path in (bench.directory / "bundles").iterdir()) == ["x-1.1.0"]


def test_deployment_that_ends_the_agent_each_time_is_given_up_for_the_one_before(bench: Bench, tmp_path: Path) -> None:
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    bench.start()
    reported(server, ("1", "installed"))
    bench.stop()
    version = server.deploy("a", [bundle(tmp_path, "x", "1.1.0")])
    for _ in range(MOST_TRIES):
        Memory(bench.directory).begin(version)
    bench.start()
    reported(server, ("1", "installed"), ("2", "failed"))
    assert f"ended {MOST_TRIES} times while it installed" in server.reports[-1].error
    eventually(lambda: bench.names() == {"x-1.0.0"}, within_s=30, what="what ran last runs")


def test_deployment_that_blocks_the_framework_ends_the_agent_and_is_not_tried_by_the_next(
    bench: Bench, tmp_path: Path
) -> None:
    gate, begun = threading.Event(), threading.Event()
    bench.context.get_framework().add_property("gate", (begun, gate))
    wait = "begun, gate = context.get_property('gate'); begun.set(); gate.wait()"
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    deployer = bench.start()
    reported(server, ("1", "installed"))
    server.deploy("a", [bundle(tmp_path, "x", "1.1.0", start=wait)])
    assert begun.wait(30)
    deployer.stuck("bundle x-1.1.0 cannot even be removed")
    assert bench.failures == ["bundle x-1.1.0 cannot even be removed"]
    bench.failures.clear()
    bench.stop()
    gate.set()
    bench.start()
    reported(server, ("1", "installed"), ("2", "failed"))
    eventually(lambda: bench.names() == {"x-1.0.0"}, within_s=30, what="what ran last runs")


@pytest.mark.parametrize(
    ("number", "gives", "words", "told"),
    [
        pytest.param(2, "", "x@1.1.0 is missing, which version 2 gives to a", True, id="nothing at all"),
        pytest.param(2, "1.0.0", "x@1.1.0 is missing", True, id="what was in force before, under the number of now"),
        pytest.param(1, "1.0.0", "it is of version 1 of the mapping, and 2 is in force", False, id="an older version"),
        pytest.param(3, "1.0.0", "and 2 is in force, by what etcd has told us", False, id="a version there never was"),
    ],
)
def test_what_a_lying_server_gives_is_refused_and_another_one_is_asked(
    bench: Bench, tmp_path: Path, number: int, gives: str, words: str, told: bool
) -> None:
    """Whatever it gives was signed: by that alone it would be taken."""
    ours = signing(tmp_path / "ours")
    known = {version: bundle(tmp_path, "x", version) for version in ("1.0.0", "1.1.0")}
    liar, honest = bench.server(), bench.server()
    liar._counter = number - 1
    liar.deploy("a", [known[gives]] if gives else [], sign=ours.sign)
    bench.put_in_force(2, [known["1.1.0"]])
    deployer = bench.start(Trust(anchors=ours.anchors, in_force=InForce()))
    eventually(lambda: words in deployer.standing.trouble, within_s=30, what="it is not taken")
    assert (bench.names(), deployer.standing.version) == (set(), "")
    honest._counter = 1
    honest.deploy("a", [known["1.1.0"]], sign=ours.sign)
    eventually(lambda: ("2", "installed") in honest.states(), within_s=20, what="the other one is asked")
    assert bench.names() == {"x-1.1.0"}
    assert (("", "failed") in [*honest.states(), *liar.states()]) is told, "a server is accused of what it must know"


def test_with_a_lying_server_alone_what_runs_runs_on(bench: Bench, tmp_path: Path) -> None:
    old, new = bundle(tmp_path, "x"), bundle(tmp_path, "x", "1.1.0")
    server = bench.server()
    version = server.deploy("a", [old])
    bench.put_in_force(1, [old])
    deployer = bench.start(Trust(in_force=InForce()))
    reported(server, ("1", "installed"))
    bench.put_in_force(3, [new])
    server.deploy("a", [old])
    eventually(
        lambda: "it is of version 2 of the mapping, and 3 is in force" in deployer.standing.trouble,
        within_s=30,
        what="it waits",
    )
    eventually(lambda: ("", "failed") in server.states(), within_s=30, what="told, when it is given a second time")
    assert (deployer.standing.version, bench.names()) == (version, {"x-1.0.0"})
    server.deploy("a", [new])
    eventually(lambda: bench.names() == {"x-1.1.0"}, within_s=30, what="it is taken as soon as it fits")
    eventually(lambda: deployer.standing.trouble == "", within_s=30, what="nothing is wrong any more")


def test_nothing_is_taken_before_etcd_has_said_what_is_in_force(bench: Bench, tmp_path: Path) -> None:
    """But what ran last runs."""
    server = bench.server()
    server.deploy("a", [bundle(tmp_path, "x")])
    bench.start()
    reported(server, ("1", "installed"))
    bench.stop()
    server.deploy("a", [bundle(tmp_path, "x", "1.1.0")])
    deployer = bench.start(Trust(in_force=InForce()))
    eventually(lambda: "no mapping is in force" in deployer.standing.trouble, within_s=30, what="it says why")
    eventually(lambda: bench.names() == {"x-1.0.0"}, within_s=15, what="what ran last runs")


@pytest.mark.parametrize("denies", [False, True], ids=["it holds the question", "it says that there is nothing new"])
def test_a_server_that_withholds_what_is_in_force_is_left_for_another(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denies: bool
) -> None:
    """Held questions last far longer than this test waits."""
    for module in (deployer_module, in_force_module):
        monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    old, new = bundle(tmp_path, "x"), bundle(tmp_path, "x", "1.1.0")
    withholding, honest = bench.server(), bench.server()
    withholding.deploy("a", [old])
    bench.put_in_force(1, [old])
    deployer = bench.start(Trust(in_force=InForce()))
    reported(withholding, ("1", "installed"))
    if denies:
        withholding.deny()
    honest._counter = 1
    honest.deploy("a", [new])
    bench.put_in_force(2, [new])
    eventually(lambda: bench.names() == {"x-1.1.0"}, within_s=HOLD_S / 2, what="the other one gave it")
    eventually(lambda: deployer.standing.trouble == "", within_s=10, what="nothing is wrong any more")


def test_a_download_is_not_broken_off_for_taking_its_time(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (deployer_module, in_force_module):
        monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    archive = bundle(tmp_path, "x")
    server = bench.server()
    server.slow_s = 1.0
    server.deploy("a", [archive])
    bench.put_in_force(1, [archive])
    bench.start(Trust(in_force=InForce()))
    eventually(lambda: server.fetched, within_s=10, what="it is fetched")
    bench.put_in_force(1, [archive])
    reported(server, ("1", "installed"))
    assert server.fetched == ["x-1.0.0"], "once"
