"""Waiting for units, over answers written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec.structs import replace as replaced
from typing_extensions import override

from inaetics.api.client import FleetClient
from inaetics.api.wire import Changes, ExplainReport, MachineVerdict, UnitEntry
from inaetics.cli import waiting
from inaetics.cli.verdicts import Verdict, Waits, judge_start
from inaetics.cli.waiting import wait_for, wait_until_gone
from inaetics.errors import Unavailable
from tests.unit.cli.entries import HERE, RUNS, but


class Scripted(FleetClient):
    """Answers with one list after the other; the last one for ever: entries, or names of units that machines have.

    The first answer is complete, the next ones have what is in them. `asked` is what each question was.
    """

    def __init__(self, answers: Sequence[Sequence[UnitEntry | str]]) -> None:
        super().__init__("unix:///nowhere")
        self.answers = list(answers)
        self.asked: list[tuple[int | None, float]] = []
        self.named: Sequence[str] = ()
        self.explained: list[ExplainReport] = []

    @override
    def explain(self, name: str) -> ExplainReport:
        if not self.explained:
            raise Unavailable("no explanation was written down")
        return self.explained.pop(0) if len(self.explained) > 1 else self.explained[0]

    @override
    def changes(self, names: Sequence[str] = (), *, after: int | None = None, wait_s: float = 0.0) -> Changes:
        self.asked.append((after, wait_s))
        self.named = names
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        units = tuple(each for each in answer if isinstance(each, UnitEntry))
        reported = tuple(each for each in answer if isinstance(each, str))
        return Changes(
            revision=len(self.asked),
            complete=after is None,
            names=(*(unit.name for unit in units), *(reported or ("hello.service",))),
            units=units,
            reported=reported,
        )


def explanation(summary: str, *, fits: bool) -> ExplainReport:
    machine = MachineVerdict(HERE.id, HERE.name, fits)
    return ExplainReport(unit="hello.service", summary=summary, waits=True, machines=(machine,))


def test_each_question_is_held_until_something_newer_is_known() -> None:
    client = Scripted([[but(active="activating")], [but(active="activating")], [RUNS]])
    assert wait_for(client, ["hello.service"], judge_start, wanted="launched").exit_code == 0
    assert [after for after, _ in client.asked][:3] == [None, 1, 2]
    assert client.asked[1][1] > 1


def test_nothing_to_wait_for_asks_nothing() -> None:
    client = Scripted([[]])
    assert wait_for(client, [], judge_start, wanted="launched").exit_code == 0
    assert client.asked == []


def test_a_program_that_ends_at_once_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[RUNS], [but(active="failed", sub="failed", result="exit-code", message="not found")]])
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert outcome.exit_code == 1
    assert "not found" in capsys.readouterr().err


def test_a_unit_that_waits_is_named_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[but(machine=None, current="inactive", active=None, reason="no machine fits")]])
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert (outcome.exit_code, outcome.waiting) == (3, {"hello.service": "no machine fits"})
    assert "Unit hello.service waits: no machine fits" in capsys.readouterr().err
    assert all(wait_s <= 2.0 for _, wait_s in client.asked[1:]), "it is looked at again when its patience ends"


def test_the_verdicts_of_machines_are_told_once_for_units_that_wait_for_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waits = {"machine": None, "current": "inactive", "active": None, "reason": "full"}
    client = Scripted([[but(name=name, **waits) for name in ("a.service", "b.service", "c.service")]])
    full = replaced(explanation("full", fits=False), remedies=("one more machine",))
    client.explained = [full]
    wait_for(client, ["a.service", "b.service", "c.service"], judge_start, wanted="launched")
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("Unit")] == [
        f"Unit {name} waits: full" for name in ("a.service", "b.service", "c.service")
    ]
    assert told[1:4] == ["  MACHINE   FITS  BECAUSE", "  worker-1  no    -", "  would help: one more machine"]
    assert len(told) == 6


def test_a_global_unit_is_not_waited_for_and_it_is_said_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[but(machine=None, current="inactive", active=None, is_global=True)]])
    client.explained = [explanation("worker-1 fits", fits=True)]
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    told = capsys.readouterr()
    assert (outcome.exit_code, told.out) == (0, "Triggered global unit hello.service start\n")
    assert told.err == (
        "Unit hello.service is global, for 1 of 1 machines: not waited for"
        " (how it is on each: fleetctl status hello.service)\n"
    )


def test_a_global_unit_that_fits_nowhere_waits_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[but(machine=None, current="inactive", active=None, is_global=True)]])
    client.explained = [explanation("no machine fits: worker-1 has no gpu", fits=False)]
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert (outcome.exit_code, outcome.reached) == (3, [])
    assert "Unit hello.service waits: no machine fits: worker-1 has no gpu\n  MACHINE" in capsys.readouterr().err


def test_with_a_limit_a_waiting_unit_is_waited_for_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[but(machine=None, current="inactive", active=None, reason="no machine fits")]])
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched", attempts=1)
    assert outcome.exit_code == 1
    assert "timed out waiting for unit hello.service to be launched: no machine fits" in capsys.readouterr().err


def test_one_that_failed_weighs_more_than_one_that_waits() -> None:
    waits = but(name="a.service", machine=None, current="inactive", active=None, reason="full")
    client = Scripted([[waits, but(active="failed", sub="failed", result="exit-code")]])
    outcome = wait_for(client, ["a.service", "hello.service"], judge_start, wanted="launched")
    assert outcome.exit_code == 1


def test_until_gone_ends_when_no_machine_reports_it() -> None:
    client = Scripted([["hello.service", "other.service"], []])
    assert wait_until_gone(client, ["hello.service"]) == 0
    assert len(client.asked) == 2


def test_a_unit_of_which_nothing_is_heard_any_more_is_judged_by_what_was() -> None:
    """Its verdict stands for a moment before it is believed; meanwhile only other units change."""
    waits = but(machine=None, current="inactive", active=None, reason="no machine fits")
    client = Scripted([[waits], [but(name="other.service")]])
    client.answers[1] = [but(name="other.service"), "other.service"]
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert outcome.waiting == {"hello.service": "no machine fits"}


def test_few_units_are_asked_for_by_name_many_are_not() -> None:
    client = Scripted([[RUNS]])
    wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert client.named == ("hello.service",)
    many = [but(name=f"a@{n}.service") for n in range(100)]
    client = Scripted([many])
    assert wait_for(client, [one.name for one in many], judge_start, wanted="launched").exit_code == 0
    assert client.named == ()


def test_a_destroyed_unit_ends_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    client = Scripted([[but(active="activating")], []])
    assert wait_for(client, ["hello.service"], judge_start, wanted="launched").exit_code == 1
    assert "somebody destroyed it" in capsys.readouterr().err


WAITS = but(machine=None, current="inactive", active=None, reason="no machine has it yet")


def test_a_unit_that_waits_is_told_with_its_explanation() -> None:
    client = Scripted([[WAITS]])
    client.explained = [explanation("no machine has disk=ssd", fits=False)]
    outcome = wait_for(client, ["hello.service"], judge_start, wanted="launched")
    assert outcome.waiting == {"hello.service": "no machine has disk=ssd"}


def judge_at_once(entry: UnitEntry | None) -> Verdict:
    """As `judge_start`; that a unit waits is believed without delay."""
    verdict = judge_start(entry)
    return replace(verdict, stands_s=0.0) if isinstance(verdict, Waits) else verdict


def test_an_engine_that_has_not_decided_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITS_STANDS_S", 0.01)
    client = Scripted([[WAITS], [WAITS], [WAITS], [RUNS]])
    client.explained = [explanation("worker-1 fits: the engine is about to decide", fits=True)]
    outcome = wait_for(client, ["hello.service"], judge_at_once, wanted="launched")
    assert (outcome.exit_code, outcome.reached) == (0, ["hello.service"])


def test_an_engine_that_never_decides_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITS_STANDS_S", 0.01)
    client = Scripted([[WAITS]])
    client.explained = [explanation("worker-1 fits: the engine is about to decide", fits=True)]
    outcome = wait_for(client, ["hello.service"], judge_at_once, wanted="launched")
    assert outcome.waiting == {"hello.service": "worker-1 fits: the engine is about to decide"}


def test_interrupted_it_says_that_what_was_asked_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(Scripted):
        @override
        def changes(self, names: Sequence[str] = (), *, after: int | None = None, wait_s: float = 0.0) -> Changes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for(Interrupted([]), ["hello.service"], judge_start, wanted="launched")
    assert "what was asked of hello.service goes on" in capsys.readouterr().err
