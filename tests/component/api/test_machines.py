"""Cordon, drain, rebalance, metadata, forget: commands and API against a whole fleet, with a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from inaetics.api.client import FleetClient
from inaetics.api.machines_wire import MachineChange
from inaetics.cli.common import show_error
from inaetics.cli.fleetctl import fleetctl, two_dashes
from inaetics.cli.fleetctl_commands import machine_arguments
from inaetics.errors import InaeticsError
from inaetics.fleet import keys, mapper
from inaetics.fleet.model import Desired, MachineId, Placement, UnitName
from inaetics.store.protocol import Delete, Put
from tests.component.api.live import LiveFleet
from tests.component.api.test_fleetctl import Done
from tests.support.eventually import eventually

Run = Callable[..., Done]
PLAIN = "[Service]\nExecStart=/bin/true\n"
IDS = [MachineId(f"{n:032x}") for n in (1, 2, 3)]


def service(*options: str) -> str:
    return "\n".join([PLAIN.rstrip(), "[X-Fleet]", *options, ""])


@pytest.fixture
def run(fleet: LiveFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def call(*arguments: str) -> Done:
        words = two_dashes(["--endpoint", f"unix://{fleet.socket}", *arguments])
        with runner.isolation() as (out, err, _):
            try:
                result = fleetctl.main(words, "fleetctl", standalone_mode=False)
            except InaeticsError as error:
                result = show_error(error)
            except click.Abort:
                result = 130
            except click.UsageError as error:
                return Done(2, out.getvalue().decode(), error.format_message())
            return Done(result if isinstance(result, int) else 0, out.getvalue().decode(), err.getvalue().decode())

    yield call

    async def clear() -> None:
        await fleet.store.commit([Delete(key=keys.OPERATOR, prefix=True), Delete(key=keys.REBALANCE)], guards=[])

    fleet.call(clear)


def start(client: FleetClient, *names: str, text: str = PLAIN) -> None:
    for name in names:
        client.submit(name, text, desired="launched")

    def all_run() -> bool:
        active = {unit.name: unit.active for unit in client.units().units}
        assert all(active.get(name) == "active" for name in names), active
        return True

    eventually(all_run, within_s=30, what=f"{names} run")


def where(client: FleetClient) -> dict[str, str]:
    return {unit.name: unit.machine.name if unit.machine else "" for unit in client.units().units}


def test_a_cordoned_machine_takes_nothing_new(run: Run, client: FleetClient) -> None:
    done = run("cordon", "worker-1")
    assert (done.code, done.out) == (0, "worker-1 takes no new units\n")
    assert run("list-machines", "--fields=name,state", "--no-legend").rows[0] == ["worker-1", "cordoned"]
    start(client, "a.service", "b.service", "c.service")
    assert "worker-1" not in where(client).values()
    assert run("uncordon", "0000000000000000000000000000000" + "1").out == "worker-1 takes units\n"
    start(client, "d.service")
    assert where(client)["d.service"] == "worker-1"


def test_a_machine_may_be_meant_by_name_id_or_the_beginning_of_it(run: Run) -> None:
    assert run("metadata", IDS[1]).code == 0
    unknown = run("cordon", "worker-9")
    assert unknown.code == 4
    assert "no machine is called 'worker-9' (known: worker-1, worker-2, worker-3" in unknown.err
    assert "'' names no machine" in run("drain", "").err
    several = run("cordon", "000000")
    assert several.code == 5
    assert "means several machines: worker-1, worker-2, worker-3" in several.err


def test_drain_moves_all_but_global_units_and_waits(run: Run, client: FleetClient) -> None:
    start(client, "a.service", "b.service", "c.service", "d.service")
    client.submit("g.service", service("Global=yes"), desired="launched")
    eventually(lambda: len([s for s in client.states().states if s.name == "g.service"]) == 3, within_s=30, what="g")
    on_it = {name for name, machine in where(client).items() if machine == "worker-1"}
    done = run("drain", "worker-1", "--at-once=2")
    assert done.code == 0, done
    assert done.out.endswith("worker-1 is empty, but for global units: g.service\n")
    assert "worker-1" not in where(client).values()
    moved = {unit.name: unit.placed for unit in client.units().units if unit.name in on_it}
    assert on_it
    assert all(reason and reason.startswith("worker-1 is drained; ") for reason in moved.values()), moved
    assert all(unit.active == "active" for unit in client.units().units if not unit.is_global)


def test_what_cannot_leave_is_named_and_leaves_when_there_is_a_place(run: Run, client: FleetClient) -> None:
    start(client, "only@1.service", "only@2.service", "only@3.service", text=service("Conflicts=only@*.service"))
    name = next(unit for unit, machine in where(client).items() if machine == "worker-2")
    done = run("drain", "worker-2")
    assert done.code == 3
    assert f"{name} cannot leave: no other machine fits: 2 of 2 run a unit it conflicts with" in done.err
    assert where(client)[name] == "worker-2", "it goes on where it is"
    other = next(unit for unit, machine in where(client).items() if machine == "worker-3")
    client.destroy(other)
    eventually(lambda: where(client)[name] == "worker-3", within_s=30, what="it leaves once there is a place")


def test_no_block_says_how_to_end_a_drain(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    fleet.script.giving_up_s = 5.0
    start(client, "a.service", "b.service", "c.service")
    done = run("drain", "worker-1", "--no-block")
    assert (done.code, done.out) == (
        0,
        "worker-1 is being drained (see: fleetctl list-units; end it: fleetctl uncordon worker-1)\n",
    )
    fleet.script.giving_up_s = 0.0
    assert run("list-machines", "--fields=name,state", "--no-legend").rows[0] == ["worker-1", "draining"]


def test_interrupted_a_drain_goes_on_and_says_so(
    run: Run, client: FleetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(client, "only@1.service", "only@2.service", "only@3.service", text=service("Conflicts=only@*.service"))

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("inaetics.cli.fleetctl_commands.drain.detail", interrupt)
    done = run("drain", "worker-1")
    assert done.code == 130
    assert "the drain of worker-1 goes on" in done.err
    assert "end it: fleetctl uncordon worker-1" in done.err
    assert machine_arguments.detail(client, "worker-1").machine is not None
    assert run("list-machines", "--fields=name,state", "--no-legend").rows[0] == ["worker-1", "draining"]


def test_rebalance_evens_out_and_ends(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    run("cordon", "worker-2")
    run("cordon", "worker-3")
    names = [f"u@{number}.service" for number in range(1, 7)]
    start(client, *names)
    assert set(where(client).values()) == {"worker-1"}
    assert run("rebalance").out == "nothing to gain: no move would make a difference smaller by two\n"
    run("uncordon", "worker-2")
    run("uncordon", "worker-3")
    planned = run("rebalance", "--plan")
    assert planned.rows[0] == ["UNIT", "FROM", "TO", "BECAUSE"]
    assert len(planned.rows) == 5
    assert set(where(client).values()) == {"worker-1"}, "a plan moves nothing"
    done = run("rebalance", "--at-once=2")
    assert done.code == 0
    assert done.out.endswith("done\n")
    counts = sorted(list(where(client).values()).count(f"worker-{n}") for n in (1, 2, 3))
    assert counts == [2, 2, 2]

    async def record() -> object:
        return await fleet.store.get(keys.REBALANCE)

    assert fleet.call(record) is None


def test_metadata_is_shown_and_edited_and_counts_at_once(run: Run, client: FleetClient) -> None:
    client.submit("z.service", service("MachineMetadata=zone=a"), desired="launched")
    waits = run("explain", "z.service")
    assert "fleetctl metadata worker-1 zone=a" in waits.out
    assert run("metadata", "worker-2", "zone=a", "disk=ssd", "role-").out == "disk=ssd\nzone=a\n"
    eventually(lambda: where(client)["z.service"] == "worker-2", within_s=30, what="it is placed")
    assert run("metadata", "worker-2", "role=inaetics-agent", "disk-").rows == [["role=inaetics-agent"], ["zone=a"]]
    refused = run("metadata", "worker-2", "zone")
    assert (refused.code, refused.err) == (2, "'zone' is neither KEY=VALUE nor KEY-")


@pytest.mark.parametrize(
    ("edit", "words"),
    [("zo ne=a", "is no metadata key"), ("zone=a b", "is no value"), ("zone=", "is no value")],
)
def test_metadata_that_no_unit_could_ask_for_is_refused(run: Run, edit: str, words: str) -> None:
    done = run("metadata", "worker-1", edit)
    assert done.code == 2
    assert words in done.err


def test_forget_is_for_machines_that_have_left(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    refused = run("forget", "worker-1")
    assert refused.code == 5
    assert "cannot forget worker-1: it is there" in refused.err
    gone = MachineId("f" * 32)
    client.submit("g.service", service("Global=yes"), desired="launched")
    unit = client.unit("g.service").unit

    async def leave_behind() -> None:
        placement = Placement(
            unit=UnitName("g.service"),
            machine=gone,
            content_hash=unit.hash,
            desired=Desired.LAUNCHED,
            reason="",
            since=0.0,
            machine_name="worker-9",
        )
        said = mapper.encode(mapper.OperatorRecord(cordoned=True))
        await fleet.store.commit(
            [
                Put(key=keys.placement(gone, placement.unit), value=mapper.placement_value(placement)),
                Put(key=keys.operator(gone), value=said),
            ],
            guards=[],
        )

    async def remains() -> list[str]:
        listing = await fleet.store.list(keys.PREFIX)
        return [item.key for item in listing.items if gone in item.key]

    fleet.call(leave_behind)
    assert len(fleet.call(remains)) == 2
    assert run("forget", "worker-9").out == "worker-9 is forgotten, with g.service\n"
    assert fleet.call(remains) == []
    assert run("forget", "worker-9").code == 4


def test_a_machine_that_came_back_just_then_is_not_forgotten(fleet: LiveFleet) -> None:
    from inaetics.errors import Conflict
    from inaetics.fleet.operators import Operators

    async def forget() -> None:
        with pytest.raises(Conflict, match="it is there"):
            await Operators(fleet.store).forget(IDS[0])

    fleet.call(forget)


def test_two_people_who_speak_at_once_are_both_heard(run: Run, fleet: LiveFleet) -> None:
    import asyncio

    from inaetics.fleet.operators import Operators, Words

    async def speak() -> mapper.OperatorRecord:
        async with asyncio.TaskGroup() as group:
            for key in "abcd":
                words = {IDS[0]: Words(metadata={key: "1"})}
                group.create_task(Operators(fleet.store.client()).say(words), name=f"person {key}")
        item = await fleet.store.get(keys.operator(IDS[0]))
        assert item is not None
        return mapper.operator(item)

    assert sorted(fleet.call(speak).metadata) == ["a", "b", "c", "d"]


BAD_OP = "invalid op: expect add, remove, or replace"
BAD_PATH = "machine metadata path invalid"
BAD_VALUE = "invalid value: add and replace require a value"


def patch(fleet: LiveFleet, body: object) -> tuple[int, str]:
    """The original's PATCH, over the Unix socket."""
    import socket

    connection = HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(fleet.socket))
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("PATCH", "/fleet/v1/machines", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text)["error"]["message"] if text else ""
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("operations", "answer"),
    [
        pytest.param([{"op": "move", "path": "/x/metadata/a"}], (400, BAD_OP), id="op"),
        pytest.param([{"op": "remove", "path": "/x/meta/a"}], (400, BAD_PATH), id="path"),
        pytest.param([{"op": "remove", "path": "/x/metadata/a b"}], (400, BAD_PATH), id="key"),
        pytest.param(
            [{"op": "add", "path": "/x/metadata/a"}],
            (400, BAD_VALUE),
            id="value",
        ),
        pytest.param([], (204, ""), id="nothing"),
    ],
)
def test_the_originals_patch_refuses_in_its_words(
    fleet: LiveFleet, operations: list[dict[str, str]], answer: tuple[int, str]
) -> None:
    good = {"op": "add", "path": f"/{IDS[0]}/metadata/never", "value": "set"}
    assert patch(fleet, [good, *operations] if answer[0] == 400 else operations) == answer
    with fleet.client() as client:
        assert "never" not in client.machines()[0].metadata, "one bad step, and nothing is done"


def test_the_originals_patch_edits_metadata(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    steps = [
        {"op": "add", "path": f"/{IDS[0]}/metadata/zone", "value": "a"},
        {"op": "replace", "path": f"/{IDS[1]}/metadata/zone", "value": "b"},
        {"op": "remove", "path": f"/{IDS[1]}/metadata/role"},
    ]
    assert patch(fleet, steps) == (204, "")
    shown = {machine.name: machine.metadata for machine in client.machines()}
    assert shown["worker-1"] == {"role": "inaetics-agent", "zone": "a"}
    assert shown["worker-2"] == {"zone": "b"}


def test_circles_through_several_units_are_refused_at_submit(run: Run, client: FleetClient, tmp_path: Path) -> None:
    client.submit("b.service", service("MachineOf=a.service"))
    (tmp_path / "a.service").write_text(service("MachineOf=b.service"))
    done = run("submit", "a.service")
    assert done.code == 2
    assert "MachineOf= goes round in a circle (a.service → b.service → a.service)" in done.err
    with pytest.raises(InaeticsError, match="goes round in a circle"):
        client.submit("a.service", service("MachineOf=b.service"))


def test_a_unit_of_a_megabyte_is_refused_with_the_limit(run: Run, tmp_path: Path) -> None:
    (tmp_path / "big.service").write_text(PLAIN + "# filler\n" * 120_000)
    done = run("submit", "big.service")
    assert done.code == 2
    assert "at most 262144" in done.err or "1048576 bytes" in done.err, done.err


def test_a_unit_without_room_says_so_in_numbers(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    async def say(memory: int | None) -> None:
        for n, machine in enumerate(IDS):
            item = await fleet.store.get(keys.machine(machine))
            assert item is not None
            record = mapper.decode(item, mapper.MachineRecord)
            changed = msgspec.structs.replace(record, memory=memory and memory + n)
            await fleet.store.put(keys.machine(machine), mapper.encode(changed), lease=item.lease)

    fleet.call(lambda: say(4 << 30))
    try:
        start(client, "a@1.service", "a@2.service", "a@3.service", text=service("Memory=2G", "Conflicts=a@*.service"))
        (tmp := Path("q.service")).write_text(service("Memory=3G"))
        done = run("start", str(tmp))
        assert done.code == 3
        assert "it needs 3 GiB of memory, 2 of 4 GiB are free on worker-3, the most of 3" in done.err
        assert "1 GiB less in use on worker-3" in run("explain", "q").out
        assert "needs 3 GiB of memory" in run("status", "q").out
    finally:
        fleet.call(lambda: say(None))
    eventually(lambda: where(client)["q.service"], within_s=30, what="it is placed once there is room")


def test_a_change_of_a_machine_is_read_strictly(fleet: LiveFleet, client: FleetClient) -> None:
    with pytest.raises(InaeticsError, match="at_once is 0"):
        machine_arguments.change(client, "worker-1", MachineChange(at_once=0))
    with pytest.raises(InaeticsError, match="unknown field"):
        client.send_as("PATCH", "/inaetics/v1/machines/worker-1", {"cordon": True}, MachineChange)
