"""Files in a real registry: pushed whole or not at all, fetched only as what was asked for."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.containers.artifacts import ArtifactRegistry, Payload, fetch_from_any
from inaetics.containers.registry import Registry
from inaetics.errors import InvalidInput, NotFound, Unavailable
from inaetics.tls import client_context
from tests.support.blobs import BlobServer
from tests.support.registry import RegistryServer, registry_server

REPOSITORY = "inaetics/bundles/clock"
DATA = b"what is in the archive"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with registry_server() as made:
        yield made


@pytest.fixture(scope="module")
def context(server: RegistryServer) -> ssl.SSLContext:
    ca, cert, key = (server.certificates / name for name in ("ca.crt", "client.cert", "client.key"))
    return client_context(ca=ca, cert=cert, key=key, whose="the test's")


@pytest.fixture
def registry(server: RegistryServer, context: ssl.SSLContext) -> ArtifactRegistry:
    return ArtifactRegistry(server.address, context)


def payload(data: bytes = DATA) -> Payload:
    return Payload(data=data, media_type="application/zip", config=b"{}", config_type="application/json")


def test_what_was_pushed_is_fetched_and_is_a_tag_like_any_other(
    registry: ArtifactRegistry, server: RegistryServer
) -> None:
    assert not registry.holds("inaetics/bundles/nobody", SHA256)
    digest = registry.push(REPOSITORY, "1.0.0", payload())
    assert registry.push(REPOSITORY, "1.0.0", payload()) == digest, "again is no error"
    assert registry.holds(REPOSITORY, SHA256)
    assert registry.fetch(REPOSITORY, SHA256, limit=len(DATA)) == DATA
    with Registry(server.address, server.certificates) as looked:
        assert looked.image(REPOSITORY, "1.0.0").digest == digest


def test_what_is_not_there_and_what_is_too_large_is_said(registry: ArtifactRegistry) -> None:
    registry.push(REPOSITORY, "1.0.0", payload())
    with pytest.raises(NotFound, match="has no"):
        registry.fetch(REPOSITORY, "0" * 64, limit=100)
    with pytest.raises(InvalidInput, match="more than 5 bytes"):
        registry.fetch(REPOSITORY, SHA256, limit=5)


def test_a_push_that_is_cut_leaves_no_tag(registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = http.client.HTTPConnection.request

    def cut(connection: http.client.HTTPConnection, method: str, path: str, *rest: object, **more: object) -> None:
        if "/manifests/" in path:
            raise ConnectionResetError("cut")
        sent(connection, method, path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(http.client.HTTPConnection, "request", cut)
    with pytest.raises(Unavailable, match="does not answer"):
        registry.push("inaetics/bundles/cut", "1.0.0", payload(b"other"))
    monkeypatch.undo()
    with pytest.raises(NotFound):
        registry._ask(registry._connect(), "GET", "/v2/inaetics/bundles/cut/manifests/1.0.0")


def test_a_registry_that_lies_is_found_out_and_the_next_one_asked(registry: ArtifactRegistry, tmp_path: Path) -> None:
    registry.push(REPOSITORY, "1.0.0", payload())
    liar = BlobServer(tmp_path, "127.0.0.1")
    liar.lies[SHA256] = DATA[::-1]
    try:
        lying = ArtifactRegistry(liar.address, None)
        with pytest.raises(InvalidInput, match="gave something else"):
            lying.fetch(REPOSITORY, SHA256, limit=100)
        assert fetch_from_any([lying, registry], REPOSITORY, SHA256, limit=100) == DATA
        with pytest.raises(Unavailable, match="gave something else"):
            fetch_from_any([lying], REPOSITORY, SHA256, limit=100)
    finally:
        liar.stop()


def test_nobody_there_is_said_with_where(context: ssl.SSLContext) -> None:
    with pytest.raises(Unavailable, match=r"registry at 127\.0\.0\.1:1 does not answer"):
        ArtifactRegistry("127.0.0.1:1", context).holds(REPOSITORY, SHA256)
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        ArtifactRegistry("nowhere", context)
