"""What a Java agent takes and what it refuses: whatever it is given, what ran runs on.

One agent for all: each refusal finds the bundle good-1.0.0 running and leaves it so.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inaetics import resources
from inaetics.bundles.archive import Archive, open_archive
from inaetics.bundles.exchange import SERVERS, Report
from inaetics.bundles.records import CURRENT, Rule, Version
from inaetics.bundles.signature import Signature
from inaetics.cli.bundle_work import build_folders
from inaetics.node.memory import MOST_TRIES
from tests.component.java.conftest import JavaSite, java_site
from tests.support.agents import Program
from tests.support.eventually import eventually
from tests.support.fake_provisioning import FakeProvisioning
from tests.support.signing import Signing, signing

pytestmark = pytest.mark.timeout(300)  # the first of a run compiles

AGENT = "java@1"
GOOD = "good-1.0.0"


@dataclass
class World:
    """A Java agent with a server that says whatever a test wants."""

    site: JavaSite
    server: FakeProvisioning
    java: Program
    signer: Signing
    foreigner: Signing
    place: Path
    classes: dict[str, bytes]
    made: int = 0
    given: int = 0
    memory: Path = field(init=False)

    def __post_init__(self) -> None:
        self.memory = self.place / "data" / AGENT / "agent"

    def bundle(self, name: str, version: str = "1.0.0", *, does: str = "nothing", text: str = "first") -> Archive:
        """An OSGi bundle with the activator in `programs`, which does what it is told."""
        self.made += 1
        folder = self.place / "bundles" / str(self.made) / name
        folder.mkdir(parents=True)
        manifest = {"name": name, "version": version, "kind": "osgi", "entry": "checked.Activator"}
        (folder / "bundle.json").write_text(json.dumps(manifest))
        headers = {
            "Manifest-Version": "1.0",
            "Bundle-ManifestVersion": "2",
            "Bundle-SymbolicName": name,
            "Bundle-Version": version,
            "Bundle-Activator": "checked.Activator",
            "Import-Package": "org.osgi.framework",
            "Does": does,
            "Text": text,
        }
        with zipfile.ZipFile(folder / f"{name}.jar", "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", "".join(f"{key}: {value}\r\n" for key, value in headers.items()))
            for path, data in self.classes.items():
                jar.writestr(path, data)
        (packed,) = build_folders([folder], folder.parent)
        return open_archive(packed)

    def next(self) -> str:
        """What the next deployment is called."""
        return f"{self.given + 1}-{self.given + 1:012x}"

    def put_in_force(self, *archives: Archive, within_s: float = 20) -> None:
        """Say in etcd what the next deployment is."""
        self.given += 1
        hashes = {archive.manifest.name_and_version: archive.sha256 for archive in archives}
        rule = Rule(target="java@*", bundles=tuple(hashes))
        record = Version(version=self.given, text="", rules=(rule,), archives=hashes, within_s=within_s)
        self.site.put(CURRENT, msgspec.json.encode(record))

    def deploy(self, *archives: Archive, within_s: float = 20, **how: Any) -> Report:
        """What the agent reports of these archives, which are in force, and signed unless it is said otherwise."""
        before, version = len(self.server.reports), self.next()
        self.put_in_force(*archives, within_s=within_s)
        self.server.deploy(AGENT, archives, within_s=within_s, **{"sign": self.signer.sign, **how})

        def report() -> Report | None:
            return next((each for each in self.server.reports[before:] if each.version == version), None)

        found = eventually(report, within_s=60, what=f"{version} is reported")
        assert found is not None
        return found

    def health(self) -> Any:
        return json.loads(self.java.get("/health")[1])

    def printed(self) -> list[str]:
        """What bundles said, in order."""
        lines = (self.place / f"{AGENT}.log").read_text().splitlines()
        return [line for line in lines if line.split(" ")[0] in {"start", "stop", "tried"}]


def server_of(site: JavaSite, name: str) -> FakeProvisioning:
    """A server that agents find."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(site.etcd.directory / "server.pem", site.etcd.directory / "server.key")
    tls.load_verify_locations(site.etcd.directory / "ca.pem")
    server = FakeProvisioning(tls=tls)
    site.put(f"{SERVERS}{name}", json.dumps({"url": "", "agents_url": server.url}).encode())
    return server


@pytest.fixture(scope="module")
def world(agent_jar: Path, programs_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("deployments")
    with java_site(place, agent_jar) as site, zipfile.ZipFile(programs_jar) as programs:
        server = server_of(site, "fake")
        made = World(
            site=site,
            server=server,
            java=site.java_agent(AGENT),
            signer=site.signer,
            foreigner=signing(place / "foreign", "signer"),
            place=place,
            classes={name: programs.read(name) for name in programs.namelist() if name.startswith("checked/")},
        )
        try:
            yield made
        finally:
            server.close()


@pytest.fixture
def running(world: World) -> World:
    """The world with good-1.0.0 and nothing else."""
    assert world.deploy(world.bundle("good")).state == "installed"
    eventually(lambda: world.health()["bundles"] == [GOOD], within_s=20, what=f"{GOOD} runs")
    return world


def unsigned(world: World) -> dict[str, Any]:
    return {"sign": lambda sha256: None}


def foreign(world: World) -> dict[str, Any]:
    return {"sign": world.foreigner.sign}


def no_signer(world: World) -> dict[str, Any]:
    return {"sign": world.signer.another("server", signs_code=False).sign}


def ended(world: World) -> dict[str, Any]:
    return {"sign": world.signer.another("late", days=-0.01).sign}


def of_another(world: World) -> dict[str, Any]:
    return {"sign": lambda sha256: world.signer.sign("0" * 64)}


def nonsense(world: World) -> dict[str, Any]:
    return {"sign": lambda sha256: replaced(world.signer.sign(sha256), value="!")}


def no_certificate(world: World) -> dict[str, Any]:
    return {"sign": lambda sha256: replaced(world.signer.sign(sha256), certificate="nonsense")}


def replaced(signature: Signature, **changed: str) -> Signature:
    return Signature(**{"certificate": signature.certificate, "value": signature.value, **changed})


def tampered(world: World) -> dict[str, Any]:
    """As long as it should be."""
    return {"body": lambda archive: b"p" + archive.path.read_bytes()[1:]}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (unsigned, "it is not signed (sign it anew: inaetics bundle push)"),
        (foreign, "it is signed by 'CN=signer', whom this cluster does not know"),
        (no_signer, "the certificate of 'CN=server', which is not for signing code"),
        (ended, "its signature does not hold: NotAfter"),
        (of_another, "its signature by 'CN=signer' is of another archive"),
        (nonsense, "its signature does not hold: "),
        (no_certificate, "its signature does not hold: "),
        (tampered, "the archive of next-1.0.0 is not what was asked for: its sha256 is "),
    ],
)
def test_what_is_not_signed_as_it_should_be_is_refused(
    running: World, how: Callable[[World], dict[str, Any]], words: str
) -> None:
    report = running.deploy(running.bundle("next", text=how.__name__), **how(running))
    assert (report.state, words in report.error) == ("failed", True), report.error
    assert running.health()["bundles"] == [GOOD]
    assert words in running.health()["trouble"]
    assert not [line for line in running.printed() if line.endswith(how.__name__)], "it was started"


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("raises", "did not start: Activator start error in bundle bad "),
        ("raises", "java.lang.IllegalStateException: no such thing"),
        ("hangs in start", "did not start: its start takes longer than 0.5 s (it is at java"),
    ],
)
def test_a_deployment_with_a_bundle_that_does_not_start_is_taken_back(running: World, does: str, words: str) -> None:
    """What was started before it is stopped again."""
    text = f"before {does}"
    report = running.deploy(
        running.bundle("before", text=text), running.bundle("bad", does=does), within_s=0.5 if "hang" in does else 20
    )
    assert (report.state, words in report.error) == ("rolled-back", True), report.error
    assert report.started == ("before-1.0.0",)
    assert running.health()["bundles"] == [GOOD]
    said = [line for line in running.printed() if line.endswith(text)]
    assert said[-2:] == [f"start before-1.0.0 {text}", f"stop before-1.0.0 {text}"]


def test_an_update_starts_the_new_version_first_and_going_back_is_the_same(running: World) -> None:
    old, new = running.bundle("moving", text="going"), running.bundle("moving", "2.0.0", text="going")
    steps = [running.deploy(each) for each in (old, new, old)]
    assert [(step.state, step.started, step.stopped) for step in steps[1:]] == [
        ("installed", ("moving-2.0.0",), ("moving-1.0.0",)),
        ("installed", ("moving-1.0.0",), ("moving-2.0.0",)),
    ]
    assert [line.removesuffix(" going") for line in running.printed() if line.endswith("going")] == [
        "start moving-1.0.0",
        "start moving-2.0.0",
        "stop moving-1.0.0",
        "start moving-1.0.0",
        "stop moving-2.0.0",
    ]


def test_a_version_that_was_pushed_anew_replaces_the_one_that_runs(running: World) -> None:
    for text in ("pushed", "pushed anew"):
        report = running.deploy(running.bundle("same", text=text))
        assert report.state == "installed", report.error
    assert running.health()["bundles"] == ["same-1.0.0"]
    assert [line for line in running.printed() if "pushed" in line] == [
        "start same-1.0.0 pushed",
        "start same-1.0.0 pushed anew",
        "stop same-1.0.0 pushed",
    ]


def test_a_bundle_that_hung_in_its_stop_may_come_again(running: World) -> None:
    hanging = running.bundle("hanging", does="hangs in stop")
    assert running.deploy(hanging).state == "installed"
    assert running.deploy().state == "installed"
    eventually(lambda: running.health()["hanging"], within_s=20, what="it hangs")
    assert running.health()["hanging"][0].startswith("hanging-1.0.0 hangs in its stop (it is at ")
    again = running.deploy(hanging)
    assert (again.state, again.started) == ("installed", ("hanging-1.0.0",)), again.error


def test_a_try_is_written_down_while_it_lasts_and_the_third_is_the_last(running: World) -> None:
    """A bundle that ends the process would be tried by every next one."""
    tried = running.memory / "trying.json"
    assert running.deploy(running.bundle("looking", does="looks")).state == "installed"
    said = json.loads(next(line for line in running.printed() if line.startswith("tried ")).removeprefix("tried "))
    assert said["times"] == 1
    assert not tried.exists()
    tried.write_text(json.dumps({"version": running.next(), "times": MOST_TRIES}))
    report = running.deploy(running.bundle("ending"))
    assert (report.state, f"the agent ended {MOST_TRIES} times" in report.error) == ("failed", True), report.error
    assert tried.exists(), "the next process shall refuse it, too"
    assert running.deploy(running.bundle("another")).state == "installed"
    assert not tried.exists()


@pytest.mark.soak
@pytest.mark.parametrize("does", ["exits", "exhausts memory"])
def test_a_bundle_that_ends_the_agent_ends_it_three_times(running: World, does: str) -> None:
    """Then its deployment is refused, and what ran before runs."""
    archive, before = running.bundle("ending", does=does, text=does), len(running.server.reports)
    running.put_in_force(archive)
    version = running.server.deploy(AGENT, [archive], sign=running.signer.sign)
    for _ in range(MOST_TRIES):
        assert running.java.wait() != 0
        running.java.start()

    def report() -> Report | None:
        return next((each for each in running.server.reports[before:] if each.version == version), None)

    found = eventually(report, within_s=60, what="it is refused")
    assert found is not None
    assert (found.state, f"the agent ended {MOST_TRIES} times" in found.error) == ("failed", True), found.error
    assert running.printed().count(f"start ending-1.0.0 {does}") == MOST_TRIES
    eventually(lambda: running.health()["bundles"] == [GOOD], within_s=30, what="what ran before runs")


def test_what_is_not_in_force_is_not_taken_whoever_gives_it(running: World) -> None:
    """Nor refused for good: as soon as it is in force it is taken."""
    stranger = running.bundle("stranger")
    before = len(running.server.reports)
    running.put_in_force(running.bundle("wanted"))
    version = running.server.deploy(AGENT, [stranger], sign=running.signer.sign)
    words = "it has stranger@1.0.0, which version"
    eventually(lambda: words in running.health()["trouble"], within_s=30, what="it says so")
    assert running.health()["bundles"] == [GOOD]
    (false,) = eventually(lambda: running.server.reports[before:], within_s=30, what="it is reported")
    assert (false.version, false.state, words in false.error) == ("", "failed", True), false
    running.given -= 1
    running.put_in_force(stranger)
    eventually(
        lambda: [report for report in running.server.reports[before:] if report.version == version],
        within_s=60,
        what="it is taken",
    )
    assert running.health()["bundles"] == ["stranger-1.0.0"]


def test_a_server_that_withholds_what_is_in_force_is_left_for_another(running: World) -> None:
    """It holds the question: for half a minute, if it were let."""
    honest = server_of(running.site, "honest")
    try:
        archive = running.bundle("withheld")
        running.put_in_force(archive)
        honest._counter = running.server._counter = running.given - 1
        honest.deploy(AGENT, [archive], sign=running.signer.sign)
        eventually(lambda: running.health()["bundles"] == ["withheld-1.0.0"], within_s=20, what="the other one gave it")
        eventually(lambda: running.health()["trouble"] == "", within_s=20, what="nothing is wrong any more")
    finally:
        running.site.put(f"{SERVERS}honest", b"")
        honest.close()
    running.server._counter = running.given


def test_a_server_that_sends_more_than_it_said_does_not_exhaust_the_agent(running: World) -> None:
    """The agent has 96 MB."""
    archive, pid = running.bundle("endless"), running.java.pid
    running.put_in_force(archive)
    body = archive.path.read_bytes()
    running.server.deploy(AGENT, [archive], sign=running.signer.sign, body=lambda _: body + bytes(120_000_000))
    words = f"it sends more than {len(body)} bytes"
    eventually(lambda: words in running.health()["trouble"], within_s=30, what="it says so")
    assert (running.java.pid, running.health()["bundles"]) == (pid, [GOOD])


def test_who_has_certificates_asks_nobody_without(running: World) -> None:
    liar = FakeProvisioning()
    try:
        liar.deploy(AGENT, [running.bundle("liar")], sign=running.signer.sign)
        key = "/inaetics/node-provisioning-service/liar"
        running.site.put(key, json.dumps({"url": liar.url, "agents_url": ""}).encode())
        said = "provisioning server left alone, it has no TLS and this agent has certificates"
        eventually(lambda: running.java.said(said, url=liar.url), within_s=30, what="it is left alone")
        assert not running.java.said("provisioning servers", urls=[liar.url, running.server.url])
    finally:
        liar.close()


def test_a_renewed_certificate_is_shown_to_the_next_server(running: World) -> None:
    """Another one of the same authority. Each question is a connection."""
    tls = Path(running.site.environment["INAETICS_TLS_DIR"])
    before = running.server.callers[-1]
    for name, source in (("cert.pem", "client.pem"), ("key.pem", "client.key")):
        partial = tls / "partial"
        partial.write_bytes((running.site.etcd.directory / source).read_bytes())
        partial.replace(tls / name)
    assert running.deploy(running.bundle("renewed")).state == "installed"
    assert running.server.callers[-1] != before


def test_a_debugger_listens_only_when_asked_and_on_loopback_only() -> None:
    """What `run-agent` would run: it is looked at, not run."""

    def command(**given: str) -> str:
        environment = {**os.environ, "INAETICS_JAVA": "/bin/echo", "INAETICS_ADDRESS": "127.0.0.2", **given}
        script = resources.java_directory() / "run-agent"
        return subprocess.run([script], env=environment, capture_output=True, text=True, check=True).stdout

    assert "jdwp" not in command()
    assert "jdwp=transport=dt_socket,server=y,suspend=n,address=127.0.0.2:8000" in command(INAETICS_DEBUG_PORT="8000")
    assert "address=127.0.0.1:8000" in command(INAETICS_DEBUG_PORT="8000", INAETICS_ADDRESS="192.0.2.1")
