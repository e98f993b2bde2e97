"""Who gets through the gate of a registry, and what: certificates, framing, names. A real registry and gate."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inaetics.containers.gate import MOST_CONNECTIONS, MOST_WAITING
from inaetics.containers.replicate_http import MOST_MANIFEST, Peer, Refused
from inaetics.errors import InaeticsError, Unavailable
from inaetics.hosts import pki
from inaetics.hosts.cluster import Host, Role
from inaetics.hosts.paths import ClusterPaths
from tests.support.eventually import eventually
from tests.support.gates import GatedRegistry, digest_of, gates

REPOSITORY = "inaetics/hello"


@pytest.fixture(scope="module")
def two() -> Iterator[list[GatedRegistry]]:
    """A registry that runs, and a host whose certificates may only read (its registry is off)."""
    with gates(2, start=False) as made:
        made[0].start()
        yield made


@pytest.fixture(scope="module")
def image(two: list[GatedRegistry]) -> str:
    return two[0].push(REPOSITORY, "latest", b"content" * 10_000)


def certificates(place: Path, source: Path, *, ca: Path) -> Path:
    """A directory in an engine's form with the certificate and key at `source` (without suffix)."""
    place.mkdir()
    shutil.copyfile(ca, place / "ca.crt")
    shutil.copyfile(source.with_suffix(".pem"), place / "client.cert")
    shutil.copyfile(source.with_suffix(".key"), place / "client.key")
    return place


def node(two: list[GatedRegistry], place: Path) -> Path:
    """The certificate of a host's node agents, which another authority signed."""
    source = two[1].pki / "node"
    place.mkdir()
    shutil.copyfile(two[1].reader / "ca.crt", place / "ca.crt")
    shutil.copyfile(source / "cert.pem", place / "client.cert")
    shutil.copyfile(source / "key.pem", place / "client.key")
    return place


def impostor(two: list[GatedRegistry], place: Path) -> Path:
    """A certificate with the operator's name, signed by the authority of the node agents."""
    state = two[0].pki.parents[2]
    authorities = pki.ensure_authorities(ClusterPaths(name="gates", state=state, run=state), "gates")
    want = pki.Wanted(certificate="x.pem", key="x.key", common_name="operator", authority=pki.NODES, server=False)
    pki._ensure_leaf(place.parent, want, authorities, address=None)
    return certificates(place, place.parent / "x", ca=two[1].reader / "ca.crt")


@pytest.mark.parametrize("who", ["operator", "another host", "node agents", "operator of the nodes' authority"])
def test_everybody_of_the_cluster_reads_and_the_operator_pushes(
    two: list[GatedRegistry], image: str, tmp_path: Path, who: str
) -> None:
    shown = {
        "operator": lambda: two[0].operator,
        "another host": lambda: two[1].reader,
        "node agents": lambda: node(two, tmp_path / "node"),
        "operator of the nodes' authority": lambda: impostor(two, tmp_path / "impostor"),
    }[who]()
    assert digest_of(two[0].client(shown).manifest(REPOSITORY, "latest")[0]) == image
    if who == "operator":
        two[0].push(REPOSITORY, "mine", b"pushed", certificates=shown)
        return
    for write in ("upload", "put"):
        with pytest.raises(Refused, match=r"may pull from this registry and not push to it \(push with the operator"):
            getattr(two[0], write)(REPOSITORY, *(("latest", b"{}") if write == "put" else (b"x",)), certificates=shown)
    with (
        pytest.raises(Refused, match="may pull"),
        two[0].client(shown).asked("DELETE", f"/v2/{REPOSITORY}/manifests/latest"),
    ):
        pass
    assert two[0].meaning(REPOSITORY, "latest") == image


def test_a_stranger_gets_nowhere(two: list[GatedRegistry], tmp_path: Path) -> None:
    paths = ClusterPaths(name="gates", state=tmp_path / "other", run=tmp_path / "run")
    pki.ensure_authorities(paths, "gates")
    shown = certificates(tmp_path / "shown", paths.pki / "operator", ca=two[0].reader / "ca.crt")
    with pytest.raises(Unavailable, match="alert"):
        Peer(two[0].address, shown).manifest(REPOSITORY, "latest")


def test_strangers_who_say_nothing_shut_nobody_out(two: list[GatedRegistry], image: str) -> None:
    """More of them than there are places of any kind: each is let in, and makes room for the next."""
    host, _, port = two[0].address.rpartition(":")
    at = (host, int(port))
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(at)) for _ in range(MOST_CONNECTIONS + MOST_WAITING)]
        assert two[0].meaning(REPOSITORY, "latest") == image
        silent[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            silent[-1].recv(1)  # it did not have to go first
        silent[0].settimeout(30)
        assert silent[0].recv(1) == b""


@pytest.mark.parametrize(
    "request_",
    [
        "PUT /v2/inaetics/hello/manifests/latest HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        "PUT /v2/inaetics/hello/manifests/latest HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3",
        "PUT /v2/inaetics/hello/manifests/latest HTTP/1.1\r\nContent-Length: -2",
        "PUT /v2/inaetics/hello/manifests/la%74est HTTP/1.1\r\nContent-Length: 0",
        "PUT /v2/inaetics/../hello/manifests/latest HTTP/1.1\r\nContent-Length: 0",
        "DELETE /v2/inaetics/hello/manifests/..%2f..%2f HTTP/1.1",
        "DELETE /v2/inaetics/hello/blobs/sha256:00 HTTP/1.1",
        "DELETE /v2/../../../x/manifests/latest HTTP/1.1",
        f"PUT /v2/inaetics/hello/manifests/latest HTTP/1.1\r\nContent-Length: {MOST_MANIFEST + 1}",
        "GET / HTTP/1.1",
        "BREW /v2/ HTTP/1.1",
    ],
)
def test_odd_requests_are_refused_and_change_nothing(two: list[GatedRegistry], image: str, request_: str) -> None:
    context = ssl.create_default_context(cafile=str(two[0].operator / "ca.crt"))
    context.load_cert_chain(two[0].operator / "client.cert", two[0].operator / "client.key")
    host, _, port = two[0].address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        tls.sendall(f"{request_}\r\nHost: x\r\n\r\n".encode() + b"x" * 3)
        if "Content-Length: 4" in request_:
            tls.sendall(b"x" * MOST_MANIFEST)
        answer = tls.recv(200).decode()
    assert answer.split(" ")[1][0] in "45"
    assert two[0].meaning(REPOSITORY, "latest") == image


def test_a_blob_in_chunks_arrives_whole(two: list[GatedRegistry]) -> None:
    """As podman sends what it compresses on the way."""
    content = os.urandom(700_000)
    client = two[0].client()
    with client.asked("POST", "/v2/chunks/blobs/uploads/") as answer:
        location = "/v2/" + answer.getheader("Location", "").partition("/v2/")[2]
    pieces = iter([content[:1], content[1:300_000], content[300_000:]])
    with client.asked("PATCH", location, headers={"Transfer-Encoding": "chunked"}, body=_chunked(pieces)) as answer:
        location = "/v2/" + answer.getheader("Location", "").partition("/v2/")[2]
    with client.asked("PUT", f"{location}&digest={digest_of(content)}", body=b""):
        pass
    with client.asked("GET", f"/v2/chunks/blobs/{digest_of(content)}", headers={"Range": "bytes=1-4"}) as answer:
        assert (answer.status, answer.read()) == (206, content[1:5])


def test_a_restart_of_the_registry_behind_it_is_not_noticed(two: list[GatedRegistry], image: str) -> None:
    registry = two[0]._registry
    assert registry is not None
    registry.kill()
    registry.wait(timeout=10)
    two[0].start_registry()
    assert two[0].meaning(REPOSITORY, "latest") == image


def test_renewed_certificates_are_used_without_a_restart(two: list[GatedRegistry], image: str) -> None:
    paths = ClusterPaths(name="gates", state=two[0].pki.parents[2], run=two[0].pki)
    host = Host(name=two[0].name, role=Role.WORKER, address=two[0].address.partition(":")[0], control=True)
    pki.ensure_host(paths.host(host.name), host, pki.ensure_authorities(paths, "gates"), anew=True)

    def served() -> bool:
        return two[0].meaning(REPOSITORY, "latest") == image

    eventually(served, within_s=30, what="the gate serves")
    eventually(
        lambda: [line for line in two[0].log() if line["event"] == "certificate renewed"],
        within_s=30,
        what="the gate says so",
    )


def test_without_a_registry_behind_it_says_where_to_look(two: list[GatedRegistry]) -> None:
    registry = two[0]._registry
    assert registry is not None
    registry.kill()
    registry.wait(timeout=10)
    try:
        with pytest.raises(InaeticsError, match=r"registry behind this gate does not answer.*inaetics journal"):
            two[0].client().manifest(REPOSITORY, "latest")
    finally:
        two[0].start_registry()


def _chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
