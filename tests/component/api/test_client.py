"""The client against the whole API process: units on their way, held requests, journals, a store that is away."""

from __future__ import annotations

import stat
import threading
import time

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.wire import UnitEntry
from inaetics.errors import Conflict, InvalidInput, NotFound, Unavailable
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

TEXT = "# kept as written\n[Unit]\nDescription=Says hello\n\n[Service]\nExecStart=/bin/true\n"
ALONE = TEXT + "\n[X-Fleet]\nConflicts=alone@*.service\n"


def entry(client: FleetClient, name: str) -> UnitEntry:
    return client.unit(name).unit


def reaches(client: FleetClient, name: str, current: str) -> UnitEntry:
    def there() -> UnitEntry | None:
        found = entry(client, name)
        return found if found.current == current else None

    found = eventually(there, within_s=20, what=f"{name} is {current}")
    assert found is not None
    return found


def test_the_socket_is_its_owners_only(fleet: LiveFleet) -> None:
    assert stat.S_IMODE(fleet.socket.stat().st_mode) == 0o600


def test_machines_have_names(client: FleetClient, fleet: LiveFleet) -> None:
    machines = client.machines()
    assert [machine.name for machine in machines] == ["worker-1", "worker-2", "worker-3"]
    assert [machine.address for machine in machines] == fleet.addresses
    assert machines[0].metadata == {"role": "inaetics-agent"}


def test_a_unit_is_stored_as_written_and_goes_through_its_states(client: FleetClient) -> None:
    client.submit("hello.service", TEXT)
    detail = client.unit("hello.service")
    assert detail.text == TEXT
    assert (detail.unit.current, detail.unit.desired, detail.unit.reason) == ("inactive", "inactive", None)
    client.set_desired("hello.service", "loaded")
    loaded = reaches(client, "hello.service", "loaded")
    assert (loaded.load, loaded.active) == ("loaded", "inactive")
    client.set_desired("hello.service", "launched")
    launched = reaches(client, "hello.service", "launched")
    assert (launched.active, launched.sub) == ("active", "running")
    assert launched.machine is not None
    assert launched.machine.name.startswith("worker-")
    client.set_desired("hello.service", "inactive")
    reaches(client, "hello.service", "inactive")
    eventually(lambda: entry(client, "hello.service").machine is None, within_s=20, what="no machine has it")


def test_a_write_is_seen_by_the_next_read(client: FleetClient) -> None:
    for n in range(20):
        client.submit(f"u{n}.service", TEXT)
        assert entry(client, f"u{n}.service").desired == "inactive"


def test_the_same_file_again_changes_nothing_another_one_is_refused_or_replaces(client: FleetClient) -> None:
    revision = client.submit("hello.service", TEXT)
    assert client.submit("hello.service", TEXT) >= revision
    with pytest.raises(Conflict, match=r"hello\.service"):
        client.submit("hello.service", ALONE)
    assert client.unit("hello.service").text == TEXT
    client.submit("hello.service", ALONE, replace=True)
    assert client.unit("hello.service").text == ALONE


def test_a_unit_that_fits_nowhere_waits_with_its_reason(client: FleetClient) -> None:
    for n in range(1, 5):
        client.submit(f"alone@{n}.service", ALONE, desired="launched")

    def waiting() -> list[UnitEntry]:
        units = client.units().units
        placed = [unit for unit in units if unit.current == "launched"]
        return [unit for unit in units if unit.waits] if len(placed) == 3 else []

    (left,) = eventually(waiting, within_s=20, what="three run and one waits")
    assert left.reason is not None
    assert "conflict" in left.reason
    assert client.states().waiting == (left.name,)
    report = client.explain(left.name)
    assert (report.waits, report.summary) == (True, left.reason)
    assert [machine.fits for machine in report.machines] == [False] * 3
    runs = next(unit.name for unit in client.units().units if unit.current == "launched")
    client.destroy(runs)
    reaches(client, left.name, "launched")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[Service]\nExecStart\n", "line 2", id="no-assignment"),
        pytest.param(
            "[Service]\nExecStart=/bin/true\nExecStrat=/bin/true\n", "line 3.*ExecStrat", id="unknown-directive"
        ),
        pytest.param("[Service]\nExecStart=/bin/true\n[X-Fleet]\nConflict=x\n", "line 4.*Conflict", id="x-fleet"),
    ],
)
def test_a_refused_file_names_line_and_directive(client: FleetClient, text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        client.submit("bad.service", text)
    with pytest.raises(NotFound):
        client.unit("bad.service")


def test_a_template_cannot_run(client: FleetClient) -> None:
    with pytest.raises(InvalidInput, match="template"):
        client.submit("felix@.service", TEXT, desired="launched")


@pytest.mark.parametrize("name", ["felix", "a b.service", "@1.service", "ü.service", "x" * 300 + ".service"])
def test_a_name_that_is_none_is_refused(client: FleetClient, name: str) -> None:
    with pytest.raises(InvalidInput):
        client.submit(name, TEXT)


def test_a_unit_nobody_submitted_is_not_found(client: FleetClient) -> None:
    for ask in (client.unit, client.destroy, client.explain):
        with pytest.raises(NotFound, match=r"nobody\.service"):
            ask("nobody.service")
    with pytest.raises(NotFound):
        client.set_desired("nobody.service", "launched")


def test_a_desired_state_that_is_none_is_refused(client: FleetClient) -> None:
    client.submit("hello.service", TEXT)
    with pytest.raises(InvalidInput, match="'started' is none of inactive, loaded, launched"):
        client.set_desired("hello.service", "started")


def test_a_held_request_is_answered_by_a_change(fleet: LiveFleet, client: FleetClient) -> None:
    before = client.units().revision
    answers: list[int] = []

    def ask() -> None:
        with fleet.client() as other:
            answers.append(other.units(after=before, wait_s=20).revision)

    asker = threading.Thread(target=ask)
    asker.start()
    client.submit("hello.service", TEXT)
    asker.join(timeout=10)
    assert answers
    assert answers[0] > before


def test_a_held_request_ends_by_itself(client: FleetClient) -> None:
    before = client.units().revision
    started = time.monotonic()
    assert client.units(after=before + 1_000_000, wait_s=0.3).revision >= before
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "after=1&wait_s=x", "after=1&wait_s=61", "after=1&wait_s=nan", "after=%C2%B2"]
)
def test_a_held_request_that_makes_no_sense_is_refused(client: FleetClient, query: str) -> None:
    with pytest.raises(InvalidInput, match="query parameter"):
        client._request("GET", f"/inaetics/v1/units?{query}")


def test_a_journal_comes_from_the_machine_that_has_the_unit(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["hello.service"] = ["one", "two", "three"]
    client.submit("hello.service", TEXT, desired="launched")
    reaches(client, "hello.service", "launched")
    assert list(client.journal("hello.service", lines=2)) == ["two", "three"]


def test_a_journal_that_is_followed_goes_on(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.journals["hello.service"] = ["one"]
    client.submit("hello.service", TEXT, desired="launched")
    reaches(client, "hello.service", "launched")
    lines = client.journal("hello.service", follow=True)
    assert next(lines) == "one"
    fleet._loop.call_soon_threadsafe(fleet.script.followers.set)
    assert next(lines) == "and then this"


def test_a_quiet_journal_that_is_followed_is_answered_at_once(fleet: LiveFleet, client: FleetClient) -> None:
    """Its first line comes later than an answer may take."""
    fleet.script.journals["hello.service"] = []
    fleet.script.followers.clear()
    client.submit("hello.service", TEXT, desired="launched")
    reaches(client, "hello.service", "launched")
    with FleetClient(f"unix://{fleet.socket}", timeout_s=2) as patient:
        timer = threading.Timer(3, fleet._loop.call_soon_threadsafe, [fleet.script.followers.set])
        timer.start()
        assert next(patient.journal("hello.service", follow=True)) == "and then this"
        timer.join()


def test_no_journal_says_so(client: FleetClient) -> None:
    client.submit("hello.service", TEXT)
    with pytest.raises(NotFound, match="on no machine"):
        list(client.journal("hello.service"))
    client.submit("quiet.service", TEXT, desired="launched")
    reaches(client, "quiet.service", "launched")
    with pytest.raises(NotFound, match=r"no journal of 'quiet\.service'"):
        list(client.journal("quiet.service"))


def test_reads_go_on_and_writes_teach_while_the_store_is_silent(fleet: LiveFleet, client: FleetClient) -> None:
    client.submit("hello.service", TEXT)
    with fleet.outage():
        eventually(lambda: client.health().store == "silent", within_s=20, what="the silence is noticed")
        assert entry(client, "hello.service").name == "hello.service"
        assert client.stale is not None
        assert "silent" in client.stale
        with pytest.raises(Unavailable, match="store"):
            client.submit("other.service", TEXT)
    eventually(lambda: client.health().store == "ok", within_s=20, what="the store is back")
    assert client.stale is None
    client.submit("other.service", TEXT)


def test_several_endpoints_the_first_that_answers(fleet: LiveFleet) -> None:
    with FleetClient([f"unix://{fleet.socket}.gone", f"unix://{fleet.socket}"]) as client:
        assert client.machines()
