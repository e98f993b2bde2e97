"""A unit that runs, as the API tells it, and others made of it."""

from __future__ import annotations

import msgspec

from inaetics.api.wire import MachineRef, UnitEntry

HERE = MachineRef("8f3ac1d2" * 4, "worker-1", "127.17.8.101")
RUNS = UnitEntry(
    name="hello.service",
    hash="c0ffee",
    desired="launched",
    current="launched",
    machine=HERE,
    load="loaded",
    active="active",
    sub="running",
    result="success",
)


def but(**changes: object) -> UnitEntry:
    """The same unit, with these fields otherwise."""
    return msgspec.structs.replace(RUNS, **changes)
