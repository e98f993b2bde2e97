"""Many units in one request, and news of the units that changed: the client against the whole API process."""

from __future__ import annotations

import threading

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.wire import BatchEntry
from inaetics.errors import Conflict, InvalidInput
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/true\n"
OTHER = "[Service]\nExecStart=/bin/false\n"


def instances(count: int, desired: str = "launched") -> list[BatchEntry]:
    return [BatchEntry(name=f"a@{n}.service", text=TEXT, desired=desired) for n in range(count)]


def test_many_units_are_one_request_and_run(client: FleetClient) -> None:
    results = client.submit_many(instances(250))
    assert [result.name for result in results] == [f"a@{n}.service" for n in range(250)]
    assert all(result.changed and result.error is None for result in results)
    eventually(
        lambda: sum(unit.active == "active" for unit in client.units().units) == 250, within_s=20, what="all run"
    )
    assert not any(result.changed for result in client.submit_many(instances(250)))
    client.submit_many([BatchEntry(name=f"a@{n}.service", destroy=True) for n in range(250)])
    assert client.units().units == ()


def test_one_bad_entry_changes_nothing(client: FleetClient) -> None:
    bad = BatchEntry(name="b.service", text="[Service]\nExecStrat=/bin/true\n")
    with pytest.raises(InvalidInput, match=r"line 2.*ExecStrat"):
        client.submit_many([*instances(3), bad])
    with pytest.raises(InvalidInput, match="desiredState 'up'"):
        client.submit_many([*instances(3), BatchEntry(name="b.service", text=TEXT, desired="up")])
    assert client.units().units == ()


def test_what_exists_with_other_content_is_refused_or_replaced(client: FleetClient) -> None:
    client.submit("a@1.service", OTHER)
    with pytest.raises(Conflict, match=r"a@1\.service"):
        client.submit_many(instances(3))
    assert [unit.name for unit in client.units().units] == ["a@1.service"]
    client.submit_many([BatchEntry(name="a@1.service", text=TEXT, replace=True)])
    assert client.unit("a@1.service").text == TEXT


def test_changes_name_what_was_heard_of_and_nothing_else(client: FleetClient) -> None:
    client.submit_many(instances(3, desired="inactive"))
    begun = client.changes()
    assert begun.complete
    assert begun.names == ("a@0.service", "a@1.service", "a@2.service")
    client.set_desired("a@1.service", "loaded")
    later = client.changes(after=begun.revision, wait_s=5)
    assert not later.complete
    assert later.names == ("a@1.service",)
    assert [unit.desired for unit in later.units] == ["loaded"]


def test_changes_of_named_units_are_held_until_one_of_them_changes(client: FleetClient, fleet: LiveFleet) -> None:
    client.submit_many(instances(2, desired="inactive"))
    begun = client.changes(["a@1.service"])
    assert begun.names == ("a@1.service",)

    def change() -> None:
        with fleet.client() as other:
            other.set_desired("a@0.service", "loaded")
            other.destroy("a@1.service")

    changing = threading.Thread(target=change)
    changing.start()
    later = client.changes(["a@1.service"], after=begun.revision, wait_s=20)
    changing.join()
    assert later.names == ("a@1.service",)
    assert later.units == ()
    assert client.changes(["a@1.service"], after=later.revision, wait_s=0.1).names == ()


def test_changes_say_whether_a_machine_still_has_the_unit(client: FleetClient, fleet: LiveFleet) -> None:
    client.submit_many(instances(1))
    eventually(lambda: client.changes().reported == ("a@0.service",), within_s=20, what="a machine reports it")
    fleet.script.giving_up_s = 0.2
    client.submit_many([BatchEntry(name="a@0.service", destroy=True)])
    gone = client.changes()
    assert gone.units == ()
    eventually(lambda: client.changes().reported == (), within_s=20, what="it was given up")


def test_a_body_holds_each_text_once() -> None:
    from inaetics.api.batching import batch_bodies

    text = "#" * 1000
    entries = [BatchEntry(name=f"a@{n}.service", text=text) for n in range(100)]
    (body,) = batch_bodies(entries)
    assert body.count(text.encode()) == 1
    bodies = list(batch_bodies(entries, limit=3000))
    assert all(len(body) < 4500 and body.count(text.encode()) == 1 for body in bodies)
    assert sum(body.count(b'"name"') for body in bodies) == 100
