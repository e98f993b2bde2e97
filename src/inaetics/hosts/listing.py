"""What the fleet says: which machines it lists and what its units do, asked through the control hosts' sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from inaetics.api.client import FleetClient
from inaetics.api.wire import UnitList
from inaetics.errors import Unavailable
from inaetics.hosts.paths import fleet_sockets

Answer = TypeVar("Answer")

ANSWER_S = 3.0


def ask(cluster: str, question: Callable[[FleetClient], Answer]) -> tuple[Answer, Path]:
    """Put `question` to the first API that answers; returns the answer and the socket it came from.

    Raises `Unavailable` with the last one's words when none does.
    """
    refusal = Unavailable(f"no control host of cluster {cluster!r} runs (start it: inaetics up)")
    for socket in fleet_sockets(cluster):
        try:
            with FleetClient(f"unix://{socket}", timeout_s=ANSWER_S) as client:
                return question(client), socket
        except Unavailable as error:
            refusal = error
    raise refusal


def listed(cluster: str) -> frozenset[str]:
    """The names of the machines the fleet lists now; empty while no API answers."""
    try:
        machines, _ = ask(cluster, lambda client: client.machines())
    except Unavailable:
        return frozenset()
    return frozenset(machine.name for machine in machines)


def units(cluster: str) -> tuple[UnitList, Path]:
    """Every submitted unit, and the socket of the API that told."""
    return ask(cluster, lambda client: client.units())
