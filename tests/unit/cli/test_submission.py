"""How many requests it takes to bring units."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from typing_extensions import override

from inaetics.api.client import FleetClient
from inaetics.api.wire import BatchEntry, BatchResult, Changes, UnitDetail, UnitEntry, UnitList
from inaetics.cli.fleetctl_commands.submission import bring

TEMPLATE = UnitEntry(name="a@.service", hash="c0ffee", desired="inactive", current="inactive")


class Counting(FleetClient):
    """Has one template; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__("unix:///nowhere")
        self.asked: list[str] = []
        self.entries: list[BatchEntry] = []

    @override
    def units(self, *, after: int | None = None, wait_s: float = 0.0) -> UnitList:
        self.asked.append("list")
        return UnitList(1, (TEMPLATE,))

    @override
    def changes(self, names: Sequence[str] = (), *, after: int | None = None, wait_s: float = 0.0) -> Changes:
        self.asked.append("named " + " ".join(names))
        return Changes(revision=1, complete=True, names=tuple(names), units=(TEMPLATE,))

    @override
    def unit(self, name: str) -> UnitDetail:
        self.asked.append(f"text {name}")
        return UnitDetail(unit=TEMPLATE, text="[Service]\nExecStart=/bin/true\n")

    @override
    def submit_many(self, entries: Sequence[BatchEntry]) -> tuple[BatchResult, ...]:
        self.asked.append("submit")
        self.entries += entries
        return tuple(BatchResult(name=entry.name, revision=2, changed=True) for entry in entries)


@pytest.mark.parametrize(
    ("argument", "count", "first"),
    [
        pytest.param("a@1", 1, "named a@.service a@1.service", id="one unit is looked up by name"),
        pytest.param("a@{1..1000}", 1000, "list", id="many are looked up in the list"),
    ],
)
def test_bringing_instances_of_a_submitted_template_is_three_requests(argument: str, count: int, first: str) -> None:
    client = Counting()
    assert len(bring(client, [argument], desired="launched", replace=False)) == count
    assert client.asked == [first, "text a@.service", "submit"]
    assert len(client.entries) == count
