"""What a person says of a tunnel, and what becomes of it."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import pytest

from inaetics.api.ssh import SshOptions, host_of
from inaetics.api.tunnel import Tunnel
from inaetics.api.wire import MachineRef
from inaetics.cli.fleetctl_commands import ssh
from inaetics.cli.session import Session
from inaetics.cli.tunnel_options import tunnel_of

SAID = {"cluster": "demo", "tunnel": "gate", "ssh_username": "me", "ssh_timeout": 2.5}


def test_a_tunnel_becomes_one_value_of_the_session() -> None:
    session = Session.of(SAID)
    assert session.tunnel is not None
    assert session.tunnel.host == host_of(
        "gate", SshOptions(user="me", timeout_s=2.5), asking=session.tunnel.host.asking
    )
    assert set(session.endpoints()) == {"cluster://demo"}, "the sockets over there"


@pytest.mark.parametrize("place", [None, ""])
def test_without_one_nothing_of_it_is_there(place: str | None) -> None:
    assert tunnel_of({"cluster": "demo", "tunnel": place, "ssh_username": None}) == {"cluster": "demo"}


@pytest.mark.parametrize(
    ("terminal", "group", "asks"),
    [
        pytest.param(True, 7, True, id="in-front-at-a-terminal"),
        pytest.param(True, 8, False, id="behind-another-program"),
        pytest.param(False, 7, False, id="in-a-script"),
    ],
)
def test_ssh_asks_only_where_somebody_can_answer(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, group: int, asks: bool
) -> None:
    monkeypatch.setattr(os, "isatty", lambda descriptor: terminal)
    monkeypatch.setattr(os, "tcgetpgrp", lambda descriptor: group)
    monkeypatch.setattr(os, "getpgrp", lambda: 7)
    assert tunnel_of(SAID)["tunnel"].host.asking is asks
    assert tunnel_of(SAID, asking=False)["tunnel"].host.asking is False


class Became(Exception):
    pass


def line_for(session: Session, address: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `fleetctl ssh` becomes for a machine at this address."""

    def become(program: str, line: list[str]) -> NoReturn:
        raise Became(line)

    monkeypatch.setattr(os, "execvp", become)
    machine = MachineRef("1" * 32, "worker-1", address)
    with pytest.raises(Became) as became:
        ssh._enter(session, machine, ["uptime"], forward_agent=False, port=22)
    found: Any = became.value.args[0]
    assert isinstance(found, list)
    return found


def test_a_machine_behind_the_tunnel_is_reached_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    options = SshOptions(user="me")
    tunnel = Tunnel(host=host_of("gate:2222", options, asking=False))
    line = line_for(Session(cluster="no-cluster", tunnel=tunnel, ssh=options), "10.0.0.5", monkeypatch)
    assert line == ["ssh", "-l", "me", *tunnel.host.proxy(), "-p", "22", "10.0.0.5", "--", "uptime"]


def test_without_a_tunnel_the_options_count_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(cluster="no-cluster", ssh=SshOptions(strict=False))
    line = line_for(session, "10.0.0.5", monkeypatch)
    assert line == ["ssh", "-o", "StrictHostKeyChecking=no", "-p", "22", "10.0.0.5", "--", "uptime"]
    assert line_for(Session(cluster="no-cluster"), "10.0.0.5", monkeypatch)[:3] == ["ssh", "-p", "22"]
