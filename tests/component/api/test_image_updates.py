"""Images: which digest a unit keeps, and `inaetics image update`, over the API with machines that play along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inaetics.api.client import FleetClient
from inaetics.api.events_client import events
from inaetics.api.rollouts_client import begin, begin_images, follow, rollouts
from inaetics.api.rollouts_wire import ImageUpdateRequest, RolloutRequest
from inaetics.cli.fleetctl import fleetctl
from inaetics.cli.image_update import older_images
from inaetics.cli.inaetics import inaetics
from inaetics.errors import Conflict, NotFound, Unavailable
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually
from tests.support.tags import digest

Run = Callable[..., Result]


def unit(image: str, *lines: str) -> str:
    """A container's file."""
    head = ("[Container]", f"Image=${{INAETICS_REGISTRY}}/inaetics/{image}", *lines)
    return "\n".join((*head, "[X-Fleet]", "HealthyAfterSec=0.1", ""))


@pytest.fixture
def run(fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    endpoint = f"unix://{fleet.socket}"

    def call(*arguments: str) -> Result:
        program = inaetics if arguments[0] == "image" else fleetctl
        way = [*arguments, "--endpoint", endpoint] if program is inaetics else ["--endpoint", endpoint, *arguments]
        return CliRunner().invoke(program, way, standalone_mode=False)

    return call


def started(client: FleetClient, text: str, *names: str) -> None:
    for name in names:
        client.submit(f"{name}.service", text, desired="launched")
    eventually(
        lambda: {f"{name}.service" for name in names} <= {state.name for state in client.states().states},
        within_s=30,
        what="all run",
    )


def runs(client: FleetClient, name: str) -> str:
    """The digest that the machine of a unit runs."""
    return next((state.image for state in client.states().states if state.name == f"{name}.service"), "")


def kept(client: FleetClient, name: str) -> str:
    """The digest of the unit's record."""
    return (client.unit(f"{name}.service").unit.image or "").partition("@")[2]


def test_a_unit_keeps_the_digest_of_its_start_until_it_is_destroyed(fleet: LiveFleet, client: FleetClient) -> None:
    first, text = fleet.tags.push("inaetics/keep:latest", "aa"), unit("keep:latest")
    client.submit("keep.service", text)
    assert kept(client, "keep") == "", "nothing is looked up before it is to run"
    started(client, text, "keep")
    second = fleet.tags.push("inaetics/keep:latest", "bb")
    client.set_desired("keep.service", "inactive")
    started(client, text, "keep")
    assert (kept(client, "keep"), runs(client, "keep")) == (first, first)
    client.submit("keep.service", text + "# edited\n", replace=True)
    assert kept(client, "keep") == first, "it follows the same tag"
    assert client.unit("keep.service").text == text + "# edited\n", "the file stays as submitted"
    client.submit("keep.service", unit("keep:other"), replace=True)
    assert kept(client, "keep") == "", "nobody has pushed that one"
    client.destroy("keep.service")
    started(client, text, "keep")
    assert kept(client, "keep") == second


def test_what_no_registry_could_say_is_learnt_from_the_machine(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.found["learn.service"] = digest("cc")
    fleet.tags.silent = True
    try:
        started(client, unit("learn"), "learn")
        eventually(lambda: kept(client, "learn") == digest("cc"), within_s=30, what="it is learnt")
    finally:
        fleet.tags.silent = False


def test_many_are_planned_updated_and_listed(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    first = fleet.tags.push("inaetics/many:latest", "aa", base=30_000_000, code=2_000_000)
    started(client, unit("many"), "many@1", "many@2", "many@10", "single")
    assert "run what their tags mean" in run("image", "update", "many").stderr
    assert older_images(client) == ""
    second = fleet.tags.push("inaetics/many:latest", "bb", base=30_000_000, newer=1_500_000)
    plan = run("image", "update", "many", "--plan")
    rows = [line.split() for line in plan.stdout.splitlines() if ".service" in line]
    assert [row[:2] for row in rows] == [
        ["1", "many@1.service"],
        ["2", "many@2.service"],
        ["3", "many@10.service"],
        ["4", "single.service"],
    ]
    machines = [row[2] for row in rows]
    assert all(machine.startswith("worker-") for machine in machines)
    assert {tuple(row[3:5]) for row in rows} == {("aa00000", "bb00000")}
    pulled = {machine: rows[machines.index(machine)][5:] for machine in machines}
    assert set(map(tuple, pulled.values())) == {("1.5", "MB")}, "only the layer that is new, once a machine"
    assert sum(row[5:] == ["nothing"] for row in rows) == 4 - len(pulled)
    assert older_images(client).startswith("an older image than was pushed runs in many@1.service, many@2.service")
    assert kept(client, "single") == first, "a plan changes nothing"
    done = run("image", "update", "many", "--at-once=2")
    assert done.return_value == 0, done.output
    assert "many@10.service done: active, healthy after 0.1 s" in done.output
    assert {runs(client, name) for name in ("many@1", "many@2", "many@10", "single")} == {second}
    listed = run("rollouts", "--unit", "single.service").output
    assert "aa00000 → bb00000" in listed
    assert "4/4" in listed
    [told] = events(client, unit="single.service", kind="changed").events
    assert told.message == "image changed from aa00000 to bb00000"
    assert told.reason.startswith("update ")


def test_one_that_fails_takes_all_back(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    first = fleet.tags.push("inaetics/broken:latest", "aa")
    started(client, unit("broken"), "broken@1", "broken@2", "broken@3")
    fleet.tags.push("inaetics/broken:latest", "bb")
    fleet.report("broken@2.service", "failed", "failed", "exit-code", "the container ended with status 7")
    done = run("image", "update", "broken@")
    assert done.return_value == 1
    [entry] = rollouts(client, "broken@2.service").rollouts
    assert entry.phase == "undone"
    assert "broken@2.service is not well on the new image: " in entry.reason
    assert "status 7" in entry.reason
    assert [step.progress for step in entry.steps] == ["restored", "restored", "waiting"]
    assert {kept(client, f"broken@{number}") for number in (1, 2, 3)} == {first}
    fleet.script.reports.clear()


def test_how_much_was_pulled_is_told(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    fleet.tags.push("inaetics/pull:latest", "aa")
    started(client, unit("pull"), "pull")
    fleet.tags.push("inaetics/pull:latest", "bb")
    fleet.report("pull.service", "activating", "start-pre", message="pulling 34 of 38 MB")
    reply = begin_images(client, ImageUpdateRequest(names=("pull",)))

    def doing() -> str:
        [entry] = rollouts(client, "pull.service").rollouts
        return entry.steps[0].doing

    where = client.unit("pull.service").unit.machine
    assert where is not None
    eventually(lambda: doing() == f"on {where.name}: pulling 34 of 38 MB", within_s=30, what="it is told")
    assert "pulling" in run("list-units", "pull", "--fields=unit,sub").output.split()
    assert "activating (pulling)" in run("status", "pull").output
    assert f"{where.name}: activating (pulling 34 of 38 MB)" in run("explain", "pull").output
    with pytest.raises(Conflict, match=f"update --cancel {reply.rollout.id}"):
        begin_images(client, ImageUpdateRequest(names=("pull",)))
    fleet.script.reports.clear()
    assert run("update", "--cancel", reply.rollout.id).return_value == 1


def test_other_content_with_another_image_goes_back_with_its_image(
    run: Run, fleet: LiveFleet, client: FleetClient
) -> None:
    first, other = fleet.tags.push("inaetics/old:1", "aa"), fleet.tags.push("inaetics/new:2", "dd")
    started(client, unit("old:1"), "both")
    fleet.script.found["both.service"] = other
    *_, end = follow(client, begin(client, RolloutRequest(name="both.service", text=unit("new:2"))))
    assert end.phase == "done"
    eventually(lambda: kept(client, "both") == other, within_s=30, what="the new tag's digest is learnt")
    fleet.report("both.service", "failed", "failed", "exit-code")
    *_, end = follow(client, begin(client, RolloutRequest(name="both.service", text=unit("old:1"))))
    assert end.phase == "undone"
    assert kept(client, "both") == other != first
    fleet.script.reports.clear()


def test_what_cannot_be_is_refused_and_says_what_helps(fleet: LiveFleet, client: FleetClient) -> None:
    fleet.tags.push("inaetics/odd:latest", "aa")
    started(client, unit("odd"), "odd")
    started(client, "[Service]\nExecStart=/bin/true\n", "plain")
    for names, error, words in (
        (("nothing",), NotFound, "no unit runs an image 'nothing'.*inaetics/odd:latest"),
        (("plain.service",), NotFound, "follows no tag"),
        (("odd",), Conflict, "nothing to update: 1 of 1 run what their tags mean"),
    ):
        with pytest.raises(error, match=words):
            begin_images(client, ImageUpdateRequest(names=names))
    fleet.tags.silent = True
    try:
        with pytest.raises(Unavailable, match="no registry answers"):
            begin_images(client, ImageUpdateRequest(names=("odd",)))
    finally:
        fleet.tags.silent = False
