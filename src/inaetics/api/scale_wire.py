"""What travels about scaling: sets of agents, how many of them shall run, and what was decided about that."""

from __future__ import annotations

from msgspec import Struct, field

MOST_DECISIONS = 30
"""Kept in the store; older ones are forgotten."""


class SetRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which agents a set consists of, and its bounds; what an operator declares.

    `agents`: names (`celix@1`), and `celix@2+` for every number from 2 on. A set grows by the names that do not run, in
    their order, and then by the next free number of the last one; it shrinks from the end. `most` is None where only
    the workers' room limits it. `automatic`: the autoscaler may change it.
    """

    agents: tuple[str, ...]
    least: int = 1
    most: int | None = None
    automatic: bool = False


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declared sets by kind, such as `processors`; all of them at once."""

    sets: dict[str, SetRule]


class DecisionEntry(Struct, frozen=True, kw_only=True):
    """One change of a set, `by` "operator", "person" or "autoscaler"; `at_ms`: Unix milliseconds by the API's clock."""

    at_ms: int
    kind: str
    before: int
    after: int
    by: str
    reason: str = ""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the store keeps. How many agents are wanted it does not say: that is which units are to run."""

    version: int = 1
    sets: dict[str, SetRule] = field(default_factory=dict)
    automatic: bool = False
    decisions: tuple[DecisionEntry, ...] = ()


class SetEntry(Struct, frozen=True, kw_only=True):
    """A set as it is. `wanted` agents shall run, `running` do; `room` is how many the workers can hold at the most.

    `most` is the smaller of the operator's `limit` and of `room`.
    """

    kind: str
    wanted: int
    running: int
    least: int
    most: int
    room: int
    limit: int | None = None
    automatic: bool = False
    units: tuple[str, ...] = ()


class ScaleReport(Struct, frozen=True, kw_only=True):
    """Every set; `decisions` are the last ones, newest first. `automatic`: the autoscaler may act."""

    revision: int
    automatic: bool = False
    sets: tuple[SetEntry, ...] = ()
    decisions: tuple[DecisionEntry, ...] = ()
    rules: dict[str, SetRule] = {}


class ScaleWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have `count` agents; `reason` for people. With `plan` it is only said what that would change."""

    count: int
    reason: str = ""
    plan: bool = False


class AutomaticWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the autoscaler act, or not."""

    on: bool


class ScaleReply(Struct, frozen=True, kw_only=True):
    """What a wish came to: units that were (or, `planned`, would be) started and destroyed; and how it is now."""

    kind: str
    before: int
    after: int
    started: tuple[str, ...] = ()
    destroyed: tuple[str, ...] = ()
    planned: bool = False
    report: ScaleReport
