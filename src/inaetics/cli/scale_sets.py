"""The demonstrator's sets of agents, as shipped: read, and declared where none are."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.scale_wire import Rules


def shipped_sets() -> Rules:
    """The file beside the demonstrator's mapping."""
    from inaetics.api.scale_wire import Rules

    text = (files("inaetics.demonstrator") / "sets.toml").read_text("utf-8")
    return msgspec.toml.decode(text, type=Rules)


def declare_sets(client: FleetClient) -> bool:
    """Declare them in a cluster that has none; returns whether it had none. What an operator has changed stays."""
    from inaetics.api.scale_client import declare, scaling

    if scaling(client).rules:
        return False
    declare(client, shipped_sets().sets)
    return True
