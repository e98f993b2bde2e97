"""What the API says of scaling, as the page shows it; what the queue says, as the autoscaler reads it. Pure."""

from __future__ import annotations

import msgspec

from inaetics.demonstrator.api import AgentReport, Decision, ScaleSet, Scaling
from inaetics.errors import Unavailable

from .autoscaler import Agents, Marks, Reading

PRODUCERS, PROCESSORS = "producers", "processors"
_SHOWN = (PRODUCERS, PROCESSORS)


class SetSaid(msgspec.Struct, frozen=True):
    """One set of `GET /inaetics/v1/scale`."""

    kind: str
    wanted: int
    running: int
    least: int
    most: int
    automatic: bool = False


class DecisionSaid(msgspec.Struct, frozen=True):
    """One of the decisions of `GET /inaetics/v1/scale`; `at_ms` is Unix milliseconds."""

    at_ms: int
    kind: str
    before: int
    after: int
    by: str = ""
    reason: str = ""


class ScaleSaid(msgspec.Struct, frozen=True):
    """`GET /inaetics/v1/scale`."""

    revision: int = 0
    automatic: bool = False
    sets: tuple[SetSaid, ...] = ()
    decisions: tuple[DecisionSaid, ...] = ()


class ScaledSaid(msgspec.Struct, frozen=True):
    """What a wish is answered with."""

    report: ScaleSaid


class Wish(msgspec.Struct, frozen=True):
    """The body of `PUT /inaetics/v1/scale/sets/KIND`."""

    count: int
    reason: str = ""


class Automatic(msgspec.Struct, frozen=True):
    """The body of `PUT /inaetics/v1/scale/automatic`."""

    on: bool


def agents(said: ScaleSaid) -> Agents | None:
    """What the autoscaler needs to know of the processors; None where there is no such set, or it is not for it."""
    for each in said.sets:
        if each.kind == PROCESSORS and each.automatic:
            return Agents(wanted=each.wanted, running=each.running, least=each.least, most=each.most)
    return None


def shown(said: ScaleSaid, explanation: str, marks: Marks) -> Scaling:
    """For the page: producers before processors, an operator is a person too."""
    order = {kind: place for place, kind in enumerate(_SHOWN)}
    sets = sorted(said.sets, key=lambda each: (order.get(each.kind, len(order)), each.kind))
    return Scaling(
        [ScaleSet(each.kind, each.wanted, each.running, each.least, each.most) for each in sets],
        said.automatic,
        explanation,
        marks.low,
        marks.high,
        [
            Decision(each.at_ms, each.kind, each.before, each.after, _by(each.by), each.reason)
            for each in said.decisions
        ],
    )


def _by(who: str) -> str:
    return who if who == "autoscaler" else "person"


def reading(report: AgentReport, at_s: float) -> Reading:
    """What the queue's agent reported, received at `at_s`. Raises `Unavailable` naming what it does not tell."""
    stats = {stat.name: stat.value for stat in report.stats}
    names = ("fill", "capacity", "accepted", "refused by queue", "acknowledged", "lent")
    if missing := [name for name in names if name not in stats]:
        raise Unavailable(f"{report.agent} does not tell {', '.join(map(repr, missing))} of its queue")
    fill, capacity, accepted, refused, acknowledged, lent = (stats[name] for name in names)
    return Reading(
        at_s=at_s,
        fill_percent=fill,
        capacity=capacity,
        accepted=accepted,
        refused=refused,
        acknowledged=acknowledged,
        lent=lent,
    )
