"""What a host does before a container starts: the newest image where it can be had, the one at hand otherwise."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from inaetics.containers.images import local_reference
from inaetics.containers.push import push
from tests.component.containers.conftest import Host, Hosts
from tests.component.containers.tiny import import_tiny, podman
from tests.support.registry import RegistryServer, registry_server


@pytest.fixture
def own_registry() -> Iterator[RegistryServer]:
    """A registry that a test may stop."""
    with registry_server() as server:
        yield server


def pull(host: Host, image: str) -> tuple[int, str]:
    """Run the host's program; its exit status and what it said."""
    done = subprocess.run([*host.engine.pull_command, image], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr + done.stdout


def publish(host: Host, registry: RegistryServer, word: str) -> str:
    """Push an image that says `word`; returns its name in the registry."""
    import_tiny(host.engine, local_reference("speaker"), f"echo {word}")
    with registry.client() as client:
        return push(host.engine, client, "speaker").reference


def says(host: Host, image: str) -> str:
    return podman(host.engine, "run", "--rm", "--pull=never", "--network", "host", image)


def test_each_pull_gets_the_newest_image_of_the_tag(hosts: Hosts, own_registry: RegistryServer) -> None:
    builder, worker = hosts(own_registry), hosts(own_registry)
    for word in ("one", "two"):
        image = publish(builder, own_registry, word)
        assert pull(worker, image) == (0, "")
        assert says(worker, image) == word


def test_without_a_registry_the_image_at_hand_is_enough(hosts: Hosts, own_registry: RegistryServer) -> None:
    builder, worker = hosts(own_registry), hosts(own_registry)
    image = publish(builder, own_registry, "one")
    pull(worker, image)
    own_registry.kill()
    status, said = pull(worker, image)
    assert status == 0, said
    assert "does not answer: [Errno 111] Connection refused (is its host up?" in said
    assert "starting the image that is here" in said
    assert says(worker, image) == "one"


def test_without_a_registry_and_image_both_are_named(hosts: Hosts, own_registry: RegistryServer) -> None:
    own_registry.kill()
    image = f"{own_registry.address}/inaetics/felix-agent:latest"
    status, said = pull(hosts(own_registry), image)
    assert status == 1
    assert f"image '{image}' is not on this host, and no registry that answers has it: the registry at" in said
    assert f"{own_registry.address} does not answer: [Errno 111] Connection refused" in said


def test_an_image_that_nobody_pushed_says_how_to_build_it(hosts: Hosts, own_registry: RegistryServer) -> None:
    image = f"{own_registry.address}/inaetics/felix-agent:latest"
    status, said = pull(hosts(own_registry), image)
    assert status == 1
    assert "is not in any registry (build it: inaetics image build felix-agent; then: inaetics image push" in said


def test_the_registry_of_another_cluster_is_refused(hosts: Hosts, own_registry: RegistryServer) -> None:
    builder = hosts(own_registry)
    image = publish(builder, own_registry, "one")
    with registry_server() as stranger:
        status, said = pull(hosts(stranger), image)
    assert status == 1
    assert "certificate" in said
