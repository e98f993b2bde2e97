"""Updates over the API: begin, follow, cancel, look back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from inaetics.api.client import FleetClient
from inaetics.api.rollouts_wire import ImageUpdateRequest, RolloutEntry, RolloutList, RolloutReply, RolloutRequest
from inaetics.errors import Unavailable

_PATH = "/inaetics/v1/rollouts"
_IMAGES = "/inaetics/v1/image-updates"
_HOLD_S = 5.0
_AGAIN_S = 0.5
_ATTEMPTS = 40


def begin(client: FleetClient, asked: RolloutRequest) -> RolloutReply:
    """Begin an update, or say what it would do (`plan`)."""
    return client.send_as("POST", _PATH, asked, RolloutReply)


def begin_images(client: FleetClient, asked: ImageUpdateRequest) -> RolloutReply:
    """Begin an update of images, or say what it would do (`plan`)."""
    return client.send_as("POST", _IMAGES, asked, RolloutReply)


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
        reply = _patiently(client, f"{_path(before.id)}?{query}")
        if reply.rollout != before:
            yield reply.rollout


def _patiently(client: FleetClient, path: str) -> RolloutReply:
    """Ask again while no API answers: the update goes on without them. Raises Unavailable in the end."""
    for _ in range(_ATTEMPTS):
        try:
            return client.get_as(path, RolloutReply, wait_s=_HOLD_S)
        except Unavailable:
            time.sleep(_AGAIN_S)
    return client.get_as(path, RolloutReply, wait_s=_HOLD_S)


def _path(rollout_id: str) -> str:
    return f"{_PATH}/{quote(rollout_id, safe='')}"
