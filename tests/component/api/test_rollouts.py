"""`/inaetics/v1/rollouts`, `fleetctl update` and `fleetctl rollouts`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inaetics.api.client import FleetClient
from inaetics.api.rollouts_client import begin, cancel, follow, rollouts
from inaetics.api.rollouts_wire import RolloutEntry, RolloutRequest
from inaetics.cli.fleetctl import fleetctl
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound
from inaetics.fleet import mapper
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

OLD = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nHealthyAfterSec=0.1\n"
NEW = OLD + "# new\n"

Run = Callable[..., Result]


@pytest.fixture
def run(fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(fleetctl, ["--endpoint", f"unix://{fleet.socket}", *arguments], standalone_mode=False)

    return call


def started(client: FleetClient, stem: str, count: int) -> None:
    """A template of which `count` instances run the old content."""
    client.submit(f"{stem}@.service", OLD)
    for number in range(1, count + 1):
        client.submit(f"{stem}@{number}.service", OLD, desired="launched")
    eventually(
        lambda: sum(state.name.startswith(f"{stem}@") for state in client.states().states) == count,
        within_s=30,
        what="all run",
    )


def test_an_update_is_planned_carried_out_and_listed(run: Run, client: FleetClient, tmp_path: Path) -> None:
    started(client, "a", 3)
    client.submit("a@2.service", OLD + "# own\n", replace=True)
    (tmp_path / "a@.service").write_text(NEW)
    plan = run("update", "a@.service", "--plan")
    [first] = [line.split() for line in plan.output.splitlines() if "a@1.service" in line]
    machine = client.unit("a@1.service").unit.machine
    assert machine is not None
    old, new = (mapper.content_hash(text)[:7] for text in (OLD, NEW))
    assert first == ["1", "a@1.service", machine.name, old, new]
    assert f"{old} → {new}, 2 units in this order, at most 1 at once" in plan.output
    assert "has content of its own" in plan.output
    assert rollouts(client, "a@.service").rollouts == ()
    done = run("update", "a@.service", "--at-once=2")
    assert done.return_value == 0, done.output
    assert "a@1.service done" in done.output
    assert "a@2.service skipped: has content of its own" in done.output
    assert client.unit("a@3.service").text == client.unit("a@.service").text == NEW
    assert client.unit("a@2.service").text == OLD + "# own\n"
    listed = run("rollouts", "--unit", "a@.service").output
    assert "done" in listed
    assert "2/2" in listed
    [entry] = json.loads(run("rollouts", "-u", "a@.service", "-o", "json").output)
    assert entry["by"]
    assert [step["unit"] for step in entry["steps"]] == ["a@1.service", "a@3.service"]


def test_one_that_fails_is_told_and_undone(run: Run, fleet: LiveFleet, client: FleetClient, tmp_path: Path) -> None:
    started(client, "b", 2)
    fleet.report("b@2.service", "failed", "failed", "exit-code", "the main process exited with status 7")
    (tmp_path / "b@.service").write_text(NEW)
    done = run("update", "b@.service")
    assert done.return_value == 1
    [entry] = rollouts(client, "b@.service").rollouts
    assert entry.phase == "undone"
    assert "status 7" in entry.reason
    assert client.unit("b@1.service").text == OLD


def test_a_template_brings_its_instances_into_line(run: Run, client: FleetClient) -> None:
    started(client, "c", 2)
    client.submit("c@.service", NEW, replace=True)
    assert run("update", "c@.service").return_value == 0
    assert client.unit("c@2.service").text == NEW


def test_what_cannot_be_begun_is_refused_and_says_what_helps(client: FleetClient) -> None:
    started(client, "d", 1)
    for request, error, words in (
        (RolloutRequest(name="nobody.service", text=NEW), NotFound, "not submitted"),
        (RolloutRequest(name="d@1.service"), InvalidInput, "give the file"),
        (RolloutRequest(name="d@.service", text=OLD), Conflict, "nothing to update"),
        (RolloutRequest(name="d@.service", text="[Service]\nNonsense=1\n"), InvalidInput, "Nonsense"),
        (RolloutRequest(name="d@.service", text=NEW, at_once=0), InvalidInput, "at once"),
    ):
        assert issubclass(error, InaeticsError)
        with pytest.raises(error, match=words):
            begin(client, request)
    with pytest.raises(NotFound, match="no rollout"):
        cancel(client, "nonsense", by="")


def test_a_running_update_is_cancelled(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    started(client, "e", 2)
    fleet.report("e@2.service", "activating", "start")
    reply = begin(client, RolloutRequest(name="e@.service", text=NEW, by="me"))

    def second() -> RolloutEntry | None:
        [entry] = rollouts(client, "e@.service").rollouts
        return entry if entry.steps[1].progress == "changing" else None

    eventually(second, within_s=30, what="the second one is on its way")
    with pytest.raises(Conflict, match=f"update --cancel {reply.rollout.id}"):
        begin(client, RolloutRequest(name="e@1.service", text=NEW + "# newer\n"))
    fleet.script.reports.clear()
    cancelled = run("update", "--cancel", reply.rollout.id)
    assert "cancelled by" in cancelled.output
    *_, end = follow(client, reply)
    assert end.phase == "undone"
    assert client.unit("e@1.service").text == OLD


def test_update_wants_either_units_or_a_cancellation(run: Run) -> None:
    refused = run("update")
    assert "name what to update" in str(refused.exception)
