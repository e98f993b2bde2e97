"""The port for agents: strangers who say nothing keep no agent waiting, and agents are counted apart from them."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from inaetics.provisioning import agents_port
from inaetics.provisioning.agents_port import AgentsPort
from inaetics.provisioning.answers import Answer, Answers
from inaetics.tls import client_context
from tests.support.etcd import make_certificates

ADDRESS = "127.0.0.1"
MOST = 4


class Same:
    """Has the same answer for everybody."""

    def deployment(self, *_: object, where: str) -> Answer:
        return Answer(body=where.encode())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("certificates")
    make_certificates(directory, (ADDRESS,))
    for name, source in (("cert.pem", "server.pem"), ("key.pem", "server.key")):
        (directory / name).write_bytes((directory / source).read_bytes())
    return directory


@pytest.fixture
def port(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentsPort]:
    monkeypatch.setattr(agents_port, "MAX_STRANGERS", MOST)
    monkeypatch.setattr(agents_port, "MAX_CONNECTIONS", MOST)
    made = AgentsPort(cast(Answers, Same()), ADDRESS, 0, tls=certificates)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    return client_context(
        ca=certificates / "ca.pem", cert=certificates / "client.pem", key=certificates / "client.key", whose="a test's"
    )


def agent(port: AgentsPort, tls: ssl.SSLContext, stack: ExitStack) -> http.client.HTTPSConnection:
    made = http.client.HTTPSConnection(ADDRESS, urlsplit(port.url).port, context=tls, timeout=10)
    stack.callback(made.close)
    return made


def asks(agent: http.client.HTTPSConnection) -> str:
    agent.request("GET", "/deployments/x")
    return agent.getresponse().read().decode()


def test_silent_strangers_keep_no_agent_waiting(port: AgentsPort, tls: ssl.SSLContext) -> None:
    at = (ADDRESS, urlsplit(port.url).port)
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(at)) for _ in range(3 * MOST)]
        assert asks(agent(port, tls, stack)) == "operator"
        silent[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            silent[-1].recv(1)
        silent[0].settimeout(10)
        assert silent[0].recv(1) == b""


def test_agents_beyond_the_most_are_turned_away_and_the_others_served(port: AgentsPort, tls: ssl.SSLContext) -> None:
    with ExitStack() as stack:
        agents = [agent(port, tls, stack) for _ in range(MOST)]
        for each in agents:
            assert asks(each) == "operator"
        with pytest.raises((ConnectionError, ssl.SSLError)):
            asks(agent(port, tls, stack))
        assert asks(agents[0]) == "operator"
