"""Updates over the API: begin, follow, cancel, look back."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from inaetics.api.client import FleetClient
from inaetics.api.rollouts_wire import RolloutEntry, RolloutList, RolloutReply, RolloutRequest

_PATH = "/inaetics/v1/rollouts"
_HOLD_S = 5.0


def begin(client: FleetClient, asked: RolloutRequest) -> RolloutReply:
    """Begin an update, or say what it would do (`plan`)."""
    return client.send_as("POST", _PATH, asked, RolloutReply)


def cancel(client: FleetClient, rollout_id: str, *, by: str) -> RolloutReply:
    """Have a running update undone."""
    return client.send_as("DELETE", f"{_path(rollout_id)}?{urlencode({'by': by})}", None, RolloutReply)


def rollouts(client: FleetClient, unit: str = "") -> RolloutList:
    """The updates on record, the youngest first; of one unit or template where asked."""
    return client.get_as(f"{_PATH}?{urlencode({'unit': unit})}" if unit else _PATH, RolloutList)


def follow(client: FleetClient, reply: RolloutReply) -> Iterator[RolloutEntry]:
    """Yield the update as it stands after each change, the last time when it has ended."""
    yield reply.rollout
    while reply.rollout.runs:
        before = reply.rollout
        query = urlencode({"after": reply.revision, "wait_s": _HOLD_S})
        reply = client.get_as(f"{_path(before.id)}?{query}", RolloutReply, wait_s=_HOLD_S)
        if reply.rollout != before:
            yield reply.rollout


def _path(rollout_id: str) -> str:
    return f"{_PATH}/{quote(rollout_id, safe='')}"
