"""Images: built offline in shared layers, built again only when something changed, pushed, listed, pulled, run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inaetics import resources
from inaetics.containers.base import base
from inaetics.containers.builder import build, build_own
from inaetics.containers.images import Built, Sources, identity, layers_of, local_reference
from inaetics.containers.push import push
from inaetics.containers.store import recover
from inaetics.errors import InvalidInput, NotFound, Unavailable
from inaetics.supervisor.protocol import Active
from inaetics.units.container import ContainerEngine
from tests.component.containers.conftest import Host, Hosts
from tests.component.containers.tiny import import_tiny, podman
from tests.component.containers.units import unit_on
from tests.support.registry import RegistryServer, registry_server

ALL = ["celix-agent", "felix-agent", "provisioning"]
MB = 1_000_000


def run_python(engine: ContainerEngine, image: str, code: str) -> str:
    """Run a line of Python in a container as agents run: read-only, without rights."""
    rights = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
    return podman(engine, "run", "--rm", "--network", "host", *rights, image, "python3", "-c", code)


def registry_layers(registry: RegistryServer, name: str) -> set[str]:
    with registry.client() as client:
        manifest, _ = client._manifest(f"inaetics/{name}", "latest")
        return {layer["digest"] for layer in manifest["layers"]}


@pytest.mark.soak
def test_the_base_image_is_made_from_the_machines_packages(tmp_path: Path) -> None:
    made = base(cache=tmp_path)
    assert made.archive.stat().st_size < 50 * MB
    assert base(cache=tmp_path) == made
    assert [path.name for path in tmp_path.iterdir()] == [made.archive.name], "nothing else stays in the cache"


def test_all_images_are_built(built: list[Built]) -> None:
    assert [each.name for each in built] == ALL
    assert not any(each.unchanged for each in built)


def test_building_again_changes_nothing(builder: Host, built: list[Built], sources: Sources) -> None:
    again = build(builder.engine, sources)
    assert again == [replace(each, unchanged=True) for each in built]


def test_an_image_runs_what_agents_need(builder: Host, built: list[Built]) -> None:
    code = (
        "import asyncio, ssl, sqlite3, json, http.server, zipfile, ctypes, decimal;"
        "import google.protobuf, inaetics.store.wire, pelix.framework, msgspec, structlog, inaetics.errors;"
        "import inaetics.demonstrator.native as n; assert n.library().sums(bytes(8), bytes(8)) == bytes(8);"
        "print(ssl.create_default_context().cert_store_stats()['x509_ca'] > 100, inaetics.errors.__file__);"
    )
    assert run_python(builder.engine, local_reference("felix-agent"), code) == (
        "True /opt/inaetics/package/inaetics/errors.py"
    )


def test_every_module_is_compiled(builder: Host, built: list[Built]) -> None:
    """Compiling them anew at each start would take longer than everything else."""
    code = (
        "import pathlib, importlib.util as u;"
        "roots = [pathlib.Path('/opt/inaetics'), pathlib.Path('/usr/lib/python3.11')];"
        "print([str(p) for r in roots for p in r.rglob('*.py')"
        " if not pathlib.Path(u.cache_from_source(p)).exists()])"
    ).replace("/usr/lib/python3.11", _standard_library(builder.engine))
    assert run_python(builder.engine, local_reference("celix-agent"), code) == "[]"


def test_there_is_a_shell_to_look_around_with(builder: Host, built: list[Built]) -> None:
    looked = podman(builder.engine, "run", "--rm", local_reference("felix-agent"), "sh", "-c", "ls / | head -1; id -un")
    assert looked.split() == ["bin", "root"]


def test_a_change_rebuilds_what_depends_on_it(
    builder: Host, built: list[Built], sources: Sources, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(sources.images, images)
    with (images / "celix-agent" / "Containerfile").open("a") as file:
        file.write("ENV CHANGED=yes\n")
    changed = build(builder.engine, replace(sources, images=images))
    assert [each.name for each in changed if not each.unchanged] == ["celix-agent"]
    assert [each.name for each in build(builder.engine, sources) if not each.unchanged] == ["celix-agent"]
    dangling = podman(builder.engine, "images", "--filter", "dangling=true", "--quiet")
    assert dangling == "", "what was replaced is not kept"


def test_images_share_their_layers(pusher: ContainerEngine, built: list[Built], registry: RegistryServer) -> None:
    with registry.client() as client:
        for name in ALL:
            push(pusher, client, name)
        sizes = [client.image(f"inaetics/{name}", "latest").size for name in ALL]
        _, layers_of_one = client.manifest("inaetics/felix-agent", "latest")
    assert max(sizes) < 40 * MB
    layers = [registry_layers(registry, name) for name in ALL]
    assert len(set.intersection(*layers)) == 3
    assert len(layers_of_one) == 3, "base, packages, our package"
    assert list(layers_of_one.values())[-1] < 1 * MB, "a change of our code moves this"


@pytest.mark.soak
def test_the_same_elsewhere_is_the_same(
    builder: Host, built: list[Built], sources: Sources, hosts: Hosts, tmp_path: Path
) -> None:
    """In another store, whose cache holds nothing, from another folder, under another umask."""
    other = hosts().engine
    with umask(0o077):
        shutil.copytree(sources.package, tmp_path / "inaetics", copy_function=shutil.copy)
        shutil.copytree(sources.images, tmp_path / "images", copy_function=shutil.copy)
        elsewhere = replace(sources, package=tmp_path / "inaetics", images=tmp_path / "images")
        [again] = build(other, elsewhere, ["felix-agent"])
    assert again.identity == identity(builder.engine, local_reference("felix-agent"))


def test_pushing_again_sends_nothing(pusher: ContainerEngine, built: list[Built], registry: RegistryServer) -> None:
    with registry.client() as client:
        push(pusher, client, "felix-agent")
        unpushable = replace(pusher, pull_flags=("--no-such-flag",))
        again = push(unpushable, client, "felix-agent")
        assert again.unchanged
        listed = {each.repository: each for each in client.images()}["inaetics/felix-agent"]
    assert listed.digest == again.digest
    assert listed.identity == f"sha256:{identity(pusher, local_reference('felix-agent'))}"


def test_another_image_under_the_tag_is_replaced(pusher: ContainerEngine, registry: RegistryServer) -> None:
    tag = local_reference("moving")
    with registry.client() as client:
        import_tiny(pusher, tag, "echo one")
        first = push(pusher, client, "moving")
        import_tiny(pusher, tag, "echo two")
        second = push(pusher, client, "moving")
    assert not second.unchanged
    assert first.digest != second.digest


def test_an_unknown_image_is_named_with_those_there_are(builder: Host, sources: Sources) -> None:
    with pytest.raises(NotFound, match=r"no image 'felix' \(known: celix-agent, felix-agent, felix-agent:java, prov"):
        build(builder.engine, sources, ["felix"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("node", "image 'node' is one of the system's", id="a name of ours"),
        pytest.param("felix-agent", "image 'felix-agent' is one of the system's", id="a name of an image of ours"),
        pytest.param("My_Image", "'My_Image' cannot name an image: small letters", id="no name of an image"),
    ],
)
def test_an_image_of_ones_own_has_a_name_of_its_own(
    name: str, words: str, builder: Host, sources: Sources, tmp_path: Path
) -> None:
    (tmp_path / "Containerfile").write_text("FROM localhost/inaetics/node\n")
    with pytest.raises(InvalidInput, match=words):
        build_own(builder.engine, sources, name, tmp_path)


def test_an_image_of_ones_own_starts_from_ours_or_from_what_is_said(
    builder: Host, built: list[Built], sources: Sources, tmp_path: Path
) -> None:
    (tmp_path / "Containerfile").write_text('FROM inaetics/felix-agent\nCOPY word /word\nCMD ["cat", "/word"]\n')
    (tmp_path / "word").write_text("mine")
    made = build_own(builder.engine, sources, "mine", tmp_path)
    assert not made.unchanged
    assert build_own(builder.engine, sources, "mine", tmp_path) == replace(made, unchanged=True)
    assert podman(builder.engine, "run", "--rm", "--network", "host", made.reference) == "mine"
    import_tiny(builder.engine, "localhost/other:latest", "true")
    based = build_own(builder.engine, sources, "mine", tmp_path, start="localhost/other")
    assert len(layers_of(builder.engine, based.reference) or ()) == 2, "the other base has one"
    with pytest.raises(NotFound, match="cannot start from image 'localhost/nosuch'"):
        build_own(builder.engine, sources, "mine", tmp_path, start="localhost/nosuch")
    assert identity(builder.engine, based.reference) == based.identity, "what was there stays"


def test_what_was_not_built_cannot_be_pushed(hosts: Hosts, registry: RegistryServer) -> None:
    with registry.client() as client, pytest.raises(NotFound, match="inaetics image build felix-agent"):
        push(hosts().engine, client, "felix-agent")


def test_a_registry_that_is_down_is_named(builder: Host, built: list[Built]) -> None:
    with registry_server() as server:
        server.kill()
        with server.client() as client, pytest.raises(Unavailable, match=rf"registry at {server.address} does not an"):
            push(builder.engine, client, "felix-agent")


LOOKS_AROUND = """
import os, pathlib, signal, sys
def attempt(action):
    try: return action() or 'done'
    except OSError as error: return type(error).__name__
print('AGENT', os.environ['INAETICS_AGENT'], os.environ['INAETICS_ADDRESS'], os.environ['INAETICS_HOST'],
      os.environ['INAETICS_ETCD_ENDPOINTS'], os.environ['INAETICS_PAGE_PORT'], os.environ['INAETICS_SHELL_PORT'])
print('KEY', pathlib.Path('/run/inaetics/tls/key.pem').read_text())
print('DATA', attempt(lambda: pathlib.Path('/var/lib/inaetics/kept').write_text('x') and None))
print('ROOT', attempt(lambda: pathlib.Path('/etc/kept').write_text('x') and None))
print('TLS', attempt(lambda: pathlib.Path('/run/inaetics/tls/kept').write_text('x') and None))
print('TMP', attempt(lambda: pathlib.Path('/tmp/kept').write_text('x') and None))
print('RIGHTS', [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'NoNewPrivs'))])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True: signal.pause()
"""

SHIPPED = {
    "felix@2.service": ("felix@.container", "felix-agent", "felix@2", "8080 2019"),
    "celix@1.service": ("celix@.container", "celix-agent", "celix@1", "8081 2020"),
    "provisioning.service": ("provisioning.container", "provisioning", "provisioning", "8080 2019"),
}


@pytest.mark.parametrize(
    "name", ["felix@2.service", pytest.param("celix@1.service", marks=pytest.mark.soak), "provisioning.service"]
)
def test_the_systems_units_run_confined_and_with_all_they_need(
    name: str, hosts: Hosts, pusher: ContainerEngine, built: list[Built], registry: RegistryServer, tmp_path: Path
) -> None:
    """The shipped unit as it is, the shipped image but for its command."""
    file, image, agent, ports = SHIPPED[name]
    tls = tmp_path / "tls"
    tls.mkdir()
    (tls / "key.pem").write_text("secret")
    (tls / "key.pem").chmod(0o600)

    async def main() -> None:
        publish_image_that_looks_around(pusher, registry, image)
        environment = {
            "INAETICS_REGISTRY": registry.address,
            "INAETICS_ETCD_ENDPOINTS": "https://127.9.9.9:2379",
            "INAETICS_NODE_TLS": str(tls),
            "INAETICS_STATE": str(tmp_path),
        }
        host, text = hosts(registry), (resources.units_directory() / file).read_text()
        async with unit_on(host, name, text, **environment) as unit:
            await unit.start()
            await unit.becomes(Active.ACTIVE)
            assert f"AGENT {agent} 127.9.9.9 worker-1 https://127.9.9.9:2379 {ports}" in await unit.says("AGENT")
            assert "KEY secret" in await unit.says("KEY")
            assert "DATA done" in await unit.says("DATA")
            assert "ROOT OSError" in await unit.says("ROOT")
            assert "TLS OSError" in await unit.says("TLS")
            assert "TMP done" in await unit.says("TMP")
            assert "RIGHTS ['0000000000000000', '1']" in await unit.says("RIGHTS")
            assert (tmp_path / "data" / name.removesuffix(".service") / "kept").read_text() == "x"
            assert (await unit.stop()).active is Active.INACTIVE
            recover(host.engine)

    asyncio.run(main())


def publish_image_that_looks_around(engine: ContainerEngine, registry: RegistryServer, name: str) -> None:
    command = json.dumps(["python3", "-c", LOOKS_AROUND])
    reference = f"{registry.address}/inaetics/{name}:latest"
    recipe = f"FROM {local_reference(name)}\nCMD {command}\n".encode()
    podman(engine, "build", "--quiet", "--tag", reference, "--file", "-", stdin=recipe)
    podman(engine, "push", "--quiet", *engine.pull_flags, reference)
    with registry.client() as client:
        assert client.image(f"inaetics/{name}", "latest").size > 0


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """What is made in the block has modes of somebody else's."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _standard_library(engine: ContainerEngine) -> str:
    return run_python(engine, local_reference("celix-agent"), "import os; print(os.path.dirname(os.__file__))")
