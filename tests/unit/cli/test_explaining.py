"""What machines say to a unit, as people read it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from inaetics.api.wire import ConstraintVerdict, ExplainReport, MachineVerdict
from inaetics.cli.explaining import explanation_lines, states_lines, together

FREE = ConstraintVerdict("cordoned", True, "takes new units")
ALONE = ConstraintVerdict("Conflicts", True, "nothing there conflicts with it")
HERE = ConstraintVerdict("MachineMetadata", True, "has zone=x")
ELSEWHERE = ConstraintVerdict("MachineMetadata", False, "has zone=y, not x")


def beside(unit: str) -> ConstraintVerdict:
    return ConstraintVerdict("Conflicts", False, f"runs {unit}, which it conflicts with")


def report(*machines: Sequence[ConstraintVerdict], remedies: tuple[str, ...] = ()) -> ExplainReport:
    """Machines worker-1 … that say this."""
    verdicts = tuple(
        MachineVerdict(f"{number:032x}", f"worker-{number}", all(each.holds for each in said), tuple(said))
        for number, said in enumerate(machines, start=1)
    )
    return ExplainReport(unit="a.service", summary="", waits=True, machines=verdicts, remedies=remedies)


FIVE = report(
    [FREE, HERE, beside("a@1.service")],
    [FREE, ELSEWHERE, ALONE],
    [ConstraintVerdict("cordoned", False, "is cordoned: it takes no new units"), ELSEWHERE, beside("a@2.service")],
    [FREE, HERE, ALONE],
    [FREE, HERE, ALONE, ConstraintVerdict("Memory", True, "has 1 GiB of memory free")],
    remedies=("worker-1 without a@1.service",),
)


def test_every_verdict_of_every_machine_is_shown_and_what_would_help() -> None:
    assert list(explanation_lines(FIVE, columns=200)) == [
        "MACHINE   FITS  cordoned  MachineMetadata  Conflicts  Memory  BECAUSE",
        "worker-1  no    ok        ok               fails      -       runs a@1.service, which it conflicts with",
        "worker-2  no    ok        fails            ok         -       has zone=y, not x",
        "worker-3  no    fails     fails            fails      -       is cordoned: it takes no new units;"
        " has zone=y, not x; runs a@2.service, which it conflicts with",
        "worker-4  yes   ok        ok               ok         -       takes new units; has zone=x;"
        " nothing there conflicts with it",
        "worker-5  yes   ok        ok               ok         ok      takes new units; has zone=x;"
        " nothing there conflicts with it; has 1 GiB of memory free",
        "would help: worker-1 without a@1.service",
    ]


@pytest.mark.parametrize("columns", [72, 80, 100, 120])
@pytest.mark.parametrize("indent", [0, 11])
def test_what_is_said_stays_within_the_terminal_and_whole(columns: int, indent: int) -> None:
    lines = list(explanation_lines(FIVE, columns=columns, indent=indent))
    assert max(map(len, lines)) <= columns - indent
    words = " ".join(" ".join(lines).split())
    for reason in ("is cordoned: it takes", "has zone=y, not x;", "runs a@1.service, which"):
        assert reason in words
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "MACHINE",
        *(f"worker-{number}" for number in range(1, 6)),
        "would",
    ]


def test_reasons_have_lines_of_their_own_where_the_verdicts_leave_no_room() -> None:
    lines = list(explanation_lines(FIVE, columns=80))
    assert lines[:3] == [
        "MACHINE   FITS  cordoned  MachineMetadata  Conflicts  Memory",
        "worker-1  no    ok        ok               fails      -",
        "    runs a@1.service, which it conflicts with",
    ]


def test_of_two_verdicts_of_one_constraint_the_failing_one_counts() -> None:
    for said in ([HERE, ELSEWHERE], [ELSEWHERE, HERE]):
        assert list(explanation_lines(report(said), columns=100))[1].split()[:3] == ["worker-1", "no", "fails"]


def test_two_hundred_machines_share_rows_and_say_what_differs() -> None:
    cordoned = ConstraintVerdict("cordoned", False, "is cordoned: it takes no new units")
    many = [[FREE, beside(f"a@{number}.service")] for number in range(1, 199)]
    lines = list(explanation_lines(report(*many, [cordoned, ALONE], [FREE, beside("a@1.service")]), columns=300))
    assert lines == [
        "MACHINE                      FITS  cordoned  Conflicts  BECAUSE",
        "worker-{1..198}, worker-200  no    ok        fails      runs a@1.service, which it conflicts with (worker-1,"
        " worker-200); runs a@2.service, which it conflicts with (worker-2); runs a@3.service, which it conflicts with"
        " (worker-3); 195 more reasons like these (all: --output json)",
        "worker-199                   no    fails     ok         is cordoned: it takes no new units",
    ]


def test_what_all_machines_of_a_row_say_is_said_once() -> None:
    lines = list(explanation_lines(report(*[[FREE, ELSEWHERE]] * 40), columns=100))
    assert lines[1:] == ["worker-{1..40}  no    ok        fails            has zone=y, not x"]


def test_what_many_machines_report_alike_is_said_once() -> None:
    few = tuple(f"worker-{number}: active (running)" for number in range(1, 11))
    assert list(states_lines(replace(FIVE, states=few))) == list(few)
    more = (*few, "worker-11: failed (exit-code): its words: 3", "worker-12: active (running)")
    assert list(states_lines(replace(FIVE, states=more))) == [
        "worker-{1..10}, worker-12: active (running)",
        "worker-11: failed (exit-code): its words: 3",
    ]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        pytest.param([], "", id="nobody"),
        pytest.param(["w-1", "w-2"], "w-1, w-2", id="two are named"),
        pytest.param(["w-1", "w-2", "w-3"], "w-{1..3}", id="three in a row are a range"),
        pytest.param(["w-9", "w-10", "w-11", "x"], "w-{9..11}, x", id="numbers, not words"),
        pytest.param(["w-1", "v-2", "w-3"], "w-1, v-2, w-3", id="other names"),
        pytest.param(["w-01", "w-2", "w-3"], "w-01, w-2, w-3", id="zeros before"),
        pytest.param(["a", "c", "e", "w-1", "w-2", "w-3"], "a, c, e and 3 more", id="many"),
    ],
)
def test_names_are_told_together(names: list[str], text: str) -> None:
    assert together(names) == text
