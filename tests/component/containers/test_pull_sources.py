"""Pulling from whichever registry has the image: dead, hung, lying and empty ones are passed over. Real podman."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from inaetics.containers.findings import Findings
from inaetics.containers.store import prepare
from tests.component.containers.conftest import Host, Hosts
from tests.component.containers.tiny import import_tiny, podman
from tests.support.gates import GatedRegistry, gates


@pytest.fixture(scope="module")
def registries() -> Iterator[list[GatedRegistry]]:
    """Three that are not equal: each is started alone, so none follows another."""
    with gates(3, start=False) as made:
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a pull: exit status, words, and what the supervisor was told."""

    status: int
    said: str
    told: list[str]


def host_of(hosts: Hosts, findings: Findings, registries: list[GatedRegistry], *, builder: bool = False) -> Host:
    """A host that names images after the first registry and pulls from all, the first first."""
    store = replace(
        hosts().store,
        registry=registries[0].address,
        sources=tuple(each.address for each in registries),
        certificates=registries[0].operator if builder else registries[1].reader,
    )
    return Host(store=store, engine=prepare(store, findings))


def publish(host: Host, registry: GatedRegistry, word: str) -> str:
    """Push an image that says `word` to one registry; returns its digest."""
    name = f"{registry.address}/inaetics/speaker:latest"
    import_tiny(host.engine, name, f"echo {word}")
    podman(host.engine, "push", "--quiet", *host.engine.pull_flags, name)
    return registry.meaning("inaetics/speaker", "latest")


def pull(host: Host, image: str, place: Path) -> Outcome:
    """Run the host's program as a unit's start does."""
    address = str(place / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        done = subprocess.run(
            [*host.engine.pull_command, image],
            env={**os.environ, "NOTIFY_SOCKET": address},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        listener.setblocking(False)
        told = []
        while True:
            try:
                told += listener.recv(9999).decode().splitlines()
            except BlockingIOError:
                break
    Path(address).unlink()
    return Outcome(status=done.returncode, said=done.stderr + done.stdout, told=told)


def test_pulls_pass_over_registries_that_are_dead_empty_hung_or_lie(
    hosts: Hosts, findings: Findings, registries: list[GatedRegistry], tmp_path: Path
) -> None:
    first, second, third = registries
    builder = host_of(hosts, findings, registries, builder=True)
    image = f"{first.address}/inaetics/speaker:latest"
    third.start()
    digest = publish(builder, third, "third")
    second.start_registry()  # without its gate: the connection is refused, as by a host that is off

    worker = host_of(hosts, findings, registries)
    done = pull(worker, image, tmp_path)
    assert (done.status, done.said) == (0, "")
    assert any(line.startswith("STATUS=pulling 0 of 1 MB") for line in done.told)
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in done.told)
    assert done.told[-1] == "STATUS="
    assert podman(worker.engine, "run", "--rm", "--pull=never", "--network", "host", image) == "third"

    # By its digest, with every registry dead: what is here is right, and nobody is asked.
    third.kill()
    named = f"{first.address}/inaetics/speaker@{digest}"
    assert pull(worker, named, tmp_path) == Outcome(status=0, said="", told=[])
    assert podman(worker.engine, "run", "--rm", "--pull=never", "--network", "host", named) == "third"

    # A hung one costs three seconds once, and is asked last from then on.
    third.start()
    first.start()
    assert first.gate is not None
    first.gate.send_signal(signal.SIGSTOP)
    other = host_of(hosts, findings, registries)
    assert pull(other, named, tmp_path).status == 0
    assert first.address in (other.store.settings / "pull.lock.silent").read_text()
    first.gate.send_signal(signal.SIGCONT)

    # One whose content is not what its digest says is passed over.
    first.kill()
    first.wipe()
    third.kill()
    first.start()
    assert publish(builder, first, "first")
    layer = max(first.data.glob("docker/registry/v2/blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    content = bytearray(layer.read_bytes())
    content[len(content) // 2] ^= 1
    layer.write_bytes(content)
    alone = host_of(hosts, findings, registries)
    refused = pull(alone, image, tmp_path)
    assert refused.status == 1
    assert f"from {first.address}" in refused.said
    assert refused.told[-1] == f"STATUS={' '.join(refused.said.split())}", "the unit says why"
    third.start()
    assert pull(host_of(hosts, findings, registries), named, tmp_path).status == 0


def test_a_name_of_no_registry_says_what_to_do(
    hosts: Hosts, findings: Findings, registries: list[GatedRegistry], tmp_path: Path
) -> None:
    for each in registries:
        each.kill()
    registries[2].start()
    worker = host_of(hosts, findings, [registries[2], registries[2]])
    done = pull(worker, f"{registries[2].address}/inaetics/nothing:latest", tmp_path)
    assert done.status == 1
    assert (
        "is not in any registry (build it: inaetics image build nothing; then: inaetics image push nothing)"
        in done.said
    )
