"""Asking for the sets of agents that can be scaled, and changing them."""

from __future__ import annotations

from urllib.parse import quote

from inaetics.api.client import FleetClient
from inaetics.api.scale_wire import AutomaticWish, Rules, ScaleReply, ScaleReport, ScaleWish, SetRule

_PATH = "/inaetics/v1/scale"


def scaling(client: FleetClient) -> ScaleReport:
    """Every set as it is."""
    return client.get_as(_PATH, ScaleReport)


def scale(client: FleetClient, kind: str, count: int, *, reason: str = "", plan: bool = False) -> ScaleReply:
    """Have `count` agents of a kind. Raises `InvalidInput`, `NotFound`, and `Conflict` beyond the workers' room."""
    wish = ScaleWish(count=count, reason=reason, plan=plan)
    return client.send_as("PUT", f"{_PATH}/sets/{quote(kind, safe='')}", wish, ScaleReply)


def set_automatic(client: FleetClient, on: bool) -> ScaleReport:
    """Switch automatic scaling."""
    return client.send_as("PUT", f"{_PATH}/automatic", AutomaticWish(on=on), ScaleReport)


def declare(client: FleetClient, sets: dict[str, SetRule]) -> ScaleReport:
    """Declare all sets and their bounds."""
    return client.send_as("PUT", f"{_PATH}/sets", Rules(sets=sets), ScaleReport)
