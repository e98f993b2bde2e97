"""The TLS listener: who has no certificate of the cluster gets nothing."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.endpoint import ClientTls
from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from tests.component.api.live import API_PORT, LiveFleet
from tests.support.etcd import make_certificates


def test_a_client_with_a_certificate_is_served(fleet: LiveFleet) -> None:
    with FleetClient(fleet.url, fleet.client_tls) as client:
        assert len(client.machines()) == 3


def test_a_client_without_a_certificate_is_refused(fleet: LiveFleet) -> None:
    context = ssl.create_default_context(cafile=str(fleet.client_tls.ca))
    assert _answer(fleet, context) == b""
    context.load_cert_chain(fleet.client_tls.cert, fleet.client_tls.key)
    assert _answer(fleet, context).startswith(b"HTTP/1.1 200")


def _answer(fleet: LiveFleet, context: ssl.SSLContext) -> bytes:
    """What a request gets over TLS with this context; nothing when the connection is closed."""
    with socket.create_connection((fleet.settings.address, API_PORT), timeout=5) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=fleet.settings.address) as secure:
                secure.sendall(b"GET /fleet/v1/machines HTTP/1.1\r\nHost: x\r\n\r\n")
                return secure.recv(64)
        except (ssl.SSLError, ConnectionError):
            return b""


def test_a_client_of_another_authority_is_refused(fleet: LiveFleet, tmp_path: Path) -> None:
    strange = make_certificates(tmp_path, ["127.0.0.1"])
    tls = ClientTls(ca=fleet.client_tls.ca, cert=strange.cert, key=strange.key)
    with FleetClient(fleet.url, tls) as client, pytest.raises(Unavailable):
        client.machines()


def test_the_client_refuses_a_server_of_another_authority(fleet: LiveFleet, tmp_path: Path) -> None:
    strange = make_certificates(tmp_path, ["127.0.0.1"])
    tls = ClientTls(ca=strange.ca, cert=fleet.client_tls.cert, key=fleet.client_tls.key)
    with FleetClient(fleet.url, tls) as client, pytest.raises(Unavailable, match="certificate"):
        client.machines()


def test_plain_http_gets_nothing(fleet: LiveFleet) -> None:
    with FleetClient(f"http://{fleet.settings.address}:{API_PORT}") as client, pytest.raises(Unavailable):
        client.machines()


def test_https_without_a_certificate_says_what_to_give(fleet: LiveFleet) -> None:
    with FleetClient(fleet.url) as client, pytest.raises(InvalidInput, match="--cert-file"):
        client.machines()


def test_journals_are_fetched_with_the_apis_certificate(fleet: LiveFleet) -> None:
    """The machines' journal servers of these tests refuse clients without one, so an answer is proof."""
    fleet.script.journals["hello.service"] = ["only line"]
    with FleetClient(fleet.url, fleet.client_tls) as client:
        client.submit("hello.service", "[Service]\nExecStart=/bin/true\n", desired="launched")
        assert list(client.journal("hello.service", lines=1)) == ["only line"]


def _as(fleet: LiveFleet, name: str) -> FleetClient:
    """A client with a certificate of the fleet's authority made out to `name`."""
    return FleetClient(fleet.url, fleet.certificate(name))


@pytest.mark.parametrize("name", ["reader-wall", "agent-worker-1", "etcd-worker-1", "operators", "api-worker-1"])
def test_who_may_only_read_changes_nothing(fleet: LiveFleet, name: str) -> None:
    with _as(fleet, name) as reader:
        assert len(reader.machines()) == 3
        with pytest.raises(InaeticsError, match=f"the certificate .{name}. may only read: PUT /inaetics/v1/units"):
            reader.submit("a.service", "[Service]\nExecStart=/bin/true\n", desired="launched")
        with pytest.raises(InaeticsError, match="may only read: DELETE"):
            reader.destroy("a.service")
        assert reader.units().units == ()


def test_the_refusal_is_an_error_entity(fleet: LiveFleet) -> None:
    tls = fleet.certificate("reader-wall")
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.load_cert_chain(tls.cert, tls.key)
    connection = http.client.HTTPSConnection(fleet.settings.address, API_PORT, timeout=5, context=context)
    try:
        connection.request("PUT", "/fleet/v1/units/a.service", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 403
        assert json.load(answer)["error"]["code"] == 403
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["operator", "api"])
def test_who_may_change_does(fleet: LiveFleet, name: str) -> None:
    with _as(fleet, name) as client:
        client.submit("b.service", "[Service]\nExecStart=/bin/true\n", desired="inactive")
        client.destroy("b.service")
