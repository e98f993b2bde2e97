"""Contexts that take up renewed certificates, and never lose the ones they have."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from inaetics.errors import InvalidInput
from inaetics.hosts.certificates import Authority, new_certificate, new_key, pem_of_certificate, pem_of_key
from inaetics.tls import RenewingContext, client_context, common_name, end_of, server_context

ADDRESS = "127.0.0.1"


class Place:
    """A directory with certificates that can be made anew."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = _authority("ca")
        self.told: list[tuple[str, str]] = []
        self.issue("first")

    def issue(self, name: str, *, key_of: str | None = None, days: float = 1) -> None:
        key = new_key()
        certificate = new_certificate(name, key, days=days, issuer=self.authority, address=ADDRESS)
        self.write("key.pem", pem_of_key(new_key() if key_of else key))
        self.write("cert.pem", pem_of_certificate(certificate))
        self.write("ca.pem", self.authority.pem)

    def write(self, name: str, text: str) -> None:
        (self.directory / f".{name}").write_text(text)
        os.replace(self.directory / f".{name}", self.directory / name)

    def server(self) -> RenewingContext:
        return server_context(**self._files(), whose="the server's", log=self.said)

    def client(self) -> RenewingContext:
        return client_context(**self._files(), whose="the client's", log=self.said)

    def said(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.told.append((level, event))

    def _files(self) -> dict[str, Path]:
        return {name: self.directory / f"{name}.pem" for name in ("ca", "cert", "key")}


def _authority(name: str) -> Authority:
    key = new_key()
    certificate = new_certificate(name, key, days=1)
    return Authority(certificate=certificate, key=key, pem=pem_of_certificate(certificate))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[str, str]:
    """Let both meet; returns the names the client and the server have seen."""
    near, far = socket.socketpair()
    seen: list[str] = []

    def serve() -> None:
        with suppress(OSError), server.wrap_socket(far, server_side=True) as stream:  # the client sees it, too
            seen.append(common_name(stream.getpeercert()))
            stream.sendall(b".")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(near, server_hostname=ADDRESS) as stream:
            stream.recv(1)
            return common_name(stream.getpeercert()), seen[0]
    finally:
        near.close()
        thread.join(5)


def test_renewed_certificates_are_shown_by_the_next_connection(place: Place) -> None:
    server, client = place.server(), place.client()
    assert shake(server, client) == ("first", "first")
    place.issue("second")
    assert shake(server, client) == ("second", "second")


def test_a_new_authority_is_believed(place: Place) -> None:
    server, client = place.server(), place.client()
    place.authority = _authority("another")
    place.issue("second")
    assert shake(server, client) == ("second", "second")


def test_an_authority_that_was_taken_away_is_believed_no_more(place: Place) -> None:
    server, client = place.server(), place.client()
    shake(server, client)
    (place.directory / "before").mkdir()
    before = Place(place.directory / "before")
    place.authority, before.authority = before.authority, place.authority
    before.issue("before")
    place.issue("second")
    before.write("ca.pem", place.authority.pem)
    with pytest.raises(OSError, match="unknown ca"):
        shake(server, before.client())


def test_what_is_set_on_a_context_holds_for_each_connection(place: Place) -> None:
    server, client = place.server(), place.client()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match="version"):
        shake(server, client)
    place.issue("second")
    assert server.current().minimum_version == ssl.TLSVersion.TLSv1_3
    assert server.current().verify_mode == ssl.CERT_REQUIRED
    assert client.current().check_hostname


def test_damage_is_told_once_and_so_is_the_end_of_it(place: Place) -> None:
    server, client = place.server(), place.client()
    place.write("key.pem", "torn")
    for _ in range(3):
        server.current()
    place.issue("second")
    for _ in range(3):
        server.current()
    assert [level for level, _ in place.told] == ["warning", "info"]
    assert client.current() is client.current()


@pytest.mark.parametrize("damage", ["", "torn", "other key", "gone", "ended"])
def test_what_cannot_be_used_leaves_the_one_before(place: Place, damage: str) -> None:
    server, client = place.server(), place.client()
    match damage:
        case "other key":
            place.issue("second", key_of="another")
        case "ended":
            place.issue("second", days=1e-9)
        case "gone":
            (place.directory / "cert.pem").unlink()
        case _:
            place.write("cert.pem", damage)
    assert shake(server, client) == ("first", "first")
    place.issue("third")
    assert shake(server, client) == ("third", "third")


def test_what_cannot_be_used_from_the_start_is_named(place: Place) -> None:
    place.write("cert.pem", "torn")
    with pytest.raises(InvalidInput, match=r"cannot use the server's certificate .*cert\.pem"):
        place.server()


@pytest.mark.parametrize("days", [1, 900, 20000], ids=["soon", "usual", "after 2050"])
def test_a_certificates_end_is_read_without_a_library(days: int) -> None:
    certificate = new_certificate("a", new_key(), days=days)
    assert end_of(pem_of_certificate(certificate)) == certificate.not_valid_after_utc


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    assert end_of(text) is None
