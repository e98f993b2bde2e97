"""What a rollout does next. Pure: snapshot, rollout and now in, the next transaction out.

Promises: at most `at_once` units are away at any time; a unit is changed only from what the rollout knows it to have,
so what somebody else does to it meanwhile stops the rollout, and is never overwritten; one unit that is not well takes
every changed one back, the last first; each transaction leaves a record from which whoever leads next goes on the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from inaetics.fleet.images import followed_by
from inaetics.fleet.model import Snapshot, Unit, UnitName, natural
from inaetics.fleet.rollout import AWAY, Phase, Progress, Rollout, Step
from inaetics.fleet.rollout_health import (
    PLACED_WITHIN_S,
    Earlier,
    Gate,
    Homeless,
    OnTheWay,
    Unwell,
    Well,
    condition,
    gate_of,
    is_gated,
    runs,
)
from inaetics.fleet.rollout_standing import Standing
from inaetics.units.names import parse_name

MAX_WRITES = 40
"""Units in one transaction, with their guards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Give `unit`, as it is in the store now, this content and this image's digest."""

    unit: Unit
    content_hash: str
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """One transaction: the rollout's record becomes `rollout`, and units get their content."""

    before: Rollout
    rollout: Rollout
    writes: tuple[Write, ...] = ()


def advance(snapshot: Snapshot, rollout: Rollout, *, now: float, standing: Standing) -> Advance | None:
    """What is to be written next; None while there is only to wait, or nothing left."""
    if not rollout.runs:
        return None
    work = _Work(snapshot, rollout, now, standing)
    if rollout.phase is Phase.ROLLING:
        work.roll()
    else:
        work.undo()
    return work.result()


def due_in(snapshot: Snapshot, rollout: Rollout, *, standing: Standing) -> float:
    """In how many seconds to look again although nothing is reported."""
    left = [1.0]
    for step in rollout.steps:
        unit = snapshot.units.get(step.unit)
        if unit is not None and step.progress in (Progress.CHANGING, Progress.RESTORING):
            left.append(gate_of(unit.text).after_s - standing.stood(step.unit))
    return max(0.02, min(each for each in left if each > 0))


class _Work:
    """One look at one rollout: collects steps' progress and writes."""

    def __init__(self, snapshot: Snapshot, rollout: Rollout, now: float, standing: Standing) -> None:
        self._snapshot = snapshot
        self._before = rollout
        self._rollout = rollout
        self._steps = list(rollout.steps)
        self._now = now
        self._standing = standing
        self._writes: list[Write] = []

    def result(self) -> Advance | None:
        after = replace(self._rollout, steps=tuple(self._steps))
        if after == self._before and not self._writes:
            return None
        return Advance(before=self._before, rollout=after, writes=tuple(self._writes))

    # On the way.

    def roll(self) -> None:
        if self._rollout.cancelled_by:
            self._turn_back(f"cancelled by {self._rollout.cancelled_by}")
            return
        if stopped_by := self._interference():
            self._end(Phase.STOPPED, stopped_by)
            return
        for number, step in enumerate(self._steps):
            if step.progress is Progress.CHANGING:
                self._judge(number, step)
        failed = [step for step in self._steps if step.progress is Progress.FAILED]
        if failed:
            self._turn_back(f"{failed[0].unit} is not well on the new {self._rollout.what}: {failed[0].message}")
            return
        self._change_more()
        if all(step.progress in (Progress.DONE, Progress.SKIPPED) for step in self._steps):
            self._finish()

    def _interference(self) -> str:
        """What somebody else did to a unit of this rollout; it must not be overwritten."""
        for step in self._steps:
            if step.progress is Progress.SKIPPED:
                continue
            unit = self._snapshot.units.get(step.unit)
            if unit is None:
                return f"{step.unit} was destroyed"
            new = step.progress is not Progress.WAITING
            if unit.content_hash != self._content(step, new=new):
                return f"{step.unit} was given other content ({unit.content_hash[:7]})"
            if not self._has(step, unit, new=new):
                return f"{step.unit} was given another image ({short_digest(unit.image)})"
        template = self._template()
        if self._rollout.template_hash and (not template or template.content_hash != self._rollout.template_hash):
            what = f"given other content ({template.content_hash[:7]})" if template else "destroyed"
            return f"the template {self._rollout.target} was {what}"
        return ""

    def _judge(self, number: int, step: Step) -> None:
        unit = self._snapshot.units[step.unit]
        verdict, message = self._verdict(step, unit, new=True)
        if verdict is not None:
            self._set(number, Progress.DONE if verdict else Progress.FAILED, message)

    def _content(self, step: Step, *, new: bool) -> str:
        return step.content_hash or (self._rollout.new_hash if new else self._rollout.old_hash)

    def _has(self, step: Step, unit: Unit, *, new: bool) -> bool:
        """Whether the unit has what the rollout gave it. An image that was not known may have been learnt."""
        if unit.content_hash != self._content(step, new=new):
            return False
        image = step.new_image if new else step.old_image
        return step.new_image is None or not image or unit.image == image

    def _verdict(self, step: Step, unit: Unit, *, new: bool) -> tuple[bool | None, str]:
        """Whether the unit has proved itself on what is new, or old; None while that is open. With words for people."""
        if not is_gated(unit):
            return True, f"it is {unit.desired}: nothing to prove"
        gate, waited_s, content_hash = gate_of(unit.text), self._now - step.at, self._content(step, new=new)
        match condition(self._snapshot, unit, content_hash=content_hash, earlier=step.earlier, gate=gate):
            case Well():
                if self._standing.restarted(step.unit):
                    return False, "it did not stay active: its supervisor started it again"
                return (True, "") if self._standing.stood(step.unit) >= gate.after_s else (None, "")
            case Unwell(message):
                return False, message
            case Homeless():
                return (True, "no machine fits it now: it has not proved itself") if _long(waited_s) else (None, "")
            case OnTheWay(message):
                return self._patience(step, unit, content_hash, message, gate)

    def _patience(self, step: Step, unit: Unit, content_hash: str, message: str, gate: Gate) -> tuple[bool | None, str]:
        """How long to wait. A large image may take any time, as long as more and more of it is there."""
        waited_s, stood_s = self._now - step.at, self._standing.stood(step.unit)
        if (min(waited_s, stood_s) if self._standing.pulled(step.unit) else waited_s) > gate.within_s:
            return False, f"not well within {gate.within_s:g} s: {message}"
        if self._is_held(unit, content_hash) and _long(waited_s):
            return False, f"the new {self._rollout.what} fits on no machine that it could go to (see: fleetctl explain)"
        if message.startswith("it is inactive") and self._standing.stood(step.unit) > gate.after_s + 1:
            return False, f"{message}: it ended by itself"
        return None, ""

    def _is_held(self, unit: Unit, content_hash: str) -> bool:
        """Whether the engine leaves it with its old content, because the new one fits nowhere."""
        placements = (self._snapshot.placements.get((each, unit.name)) for each in self._snapshot.machines)
        return any(placement and placement.content_hash != content_hash for placement in placements)

    def _change_more(self) -> None:
        """Give the new content to as many as may be away, and to all that do not run."""
        for number, step in enumerate(self._steps):
            if step.progress is not Progress.WAITING or len(self._writes) >= MAX_WRITES:
                continue
            unit = self._snapshot.units[step.unit]
            if not is_gated(unit):
                self._give(number, unit, Progress.DONE, f"it is {unit.desired}: not started", new=True)
            elif self._away() >= self._rollout.at_once:
                continue
            elif self._waits(unit):
                self._set(number, Progress.SKIPPED, "it waits for a machine, so it cannot prove itself")
            else:
                self._give(number, unit, Progress.CHANGING, "", new=True)

    def _waits(self, unit: Unit) -> bool:
        return not any(name == unit.name for machine, name in self._snapshot.placements)

    def _finish(self) -> None:
        """Take in instances that were made of the old content meanwhile; without any, the template is next and last."""
        if self._rollout.of_images:
            self._end(Phase.DONE, "")
            return
        known = {step.unit for step in self._steps} | {name for name, _ in self._rollout.skipped}
        late = [name for name in instances(self._snapshot, self._rollout.target) if name not in known]
        late = [name for name in late if self._snapshot.units[name].content_hash == self._rollout.old_hash]
        if late:
            new_text = self._snapshot.files[self._rollout.new_hash].text
            self._steps += [step_of(self._snapshot.units[name], new_text, self._now) for name in late]
            return
        template = self._template()
        if self._rollout.template_hash and template and template.content_hash != self._rollout.new_hash:
            if len(self._writes) >= MAX_WRITES:
                return
            self._writes.append(Write(unit=template, content_hash=self._rollout.new_hash, image=template.image))
        self._end(Phase.DONE, "")

    def _template(self) -> Unit | None:
        return self._snapshot.units.get(self._rollout.target) if self._rollout.template_hash else None

    # On the way back.

    def undo(self) -> None:
        """Give the old content back, those that are away first, then the last changed first."""
        for number, step in enumerate(self._steps):
            if step.progress is Progress.RESTORING:
                self._judge_restored(number, step)
        changed = (Progress.CHANGING, Progress.FAILED)
        for number in [*self._with(*changed), *self._with(Progress.DONE)]:
            if len(self._writes) < MAX_WRITES:
                self._restore(number, self._steps[number])
        if not self._with(*changed, Progress.DONE, Progress.RESTORING):
            self._end(Phase.UNDONE, self._rollout.reason)

    def _judge_restored(self, number: int, step: Step) -> None:
        unit = self._snapshot.units.get(step.unit)
        if unit is None or not self._has(step, unit, new=False):
            self._set(number, Progress.RESTORED, self._left_alone(unit))
            return
        verdict, message = self._verdict(step, unit, new=False)
        if verdict is not None:
            again = "" if verdict else f"it is not well on its old {self._rollout.what} either: {message}"
            self._set(number, Progress.RESTORED, "; ".join(filter(None, (step.message, again))))

    def _restore(self, number: int, step: Step) -> None:
        unit = self._snapshot.units.get(step.unit)
        if unit is None or not self._has(step, unit, new=True):
            self._set(number, Progress.RESTORED, self._left_alone(unit))
        elif not is_gated(unit):
            self._give(number, unit, Progress.RESTORED, step.message, new=False)
        elif step.progress in AWAY or self._away() < self._rollout.at_once:
            self._give(number, unit, Progress.RESTORING, step.message, new=False)

    def _with(self, *progress: Progress) -> list[int]:
        """The steps that stand there, the last first."""
        return [number for number in reversed(range(len(self._steps))) if self._steps[number].progress in progress]

    def _left_alone(self, unit: Unit | None) -> str:
        if unit is None:
            return "somebody destroyed it meanwhile"
        return f"somebody gave it other {self._rollout.what} meanwhile: left alone"

    # What is decided.

    def _away(self) -> int:
        return sum(step.progress in AWAY for step in self._steps)

    def _give(self, number: int, unit: Unit, progress: Progress, message: str, *, new: bool) -> None:
        step = self._steps[number]
        image = unit.image if step.new_image is None else step.new_image if new else step.old_image
        self._writes.append(Write(unit=unit, content_hash=self._content(step, new=new), image=image))
        self._set(number, progress, message, earlier=runs(self._snapshot, unit.name))
        if new and not step.old_image:  # it may have been learnt since the rollout began
            self._steps[number] = replace(self._steps[number], old_image=unit.image)

    def _set(self, number: int, progress: Progress, message: str, earlier: Earlier = ()) -> None:
        step = self._steps[number]
        self._steps[number] = replace(step, progress=progress, at=self._now, message=message, earlier=earlier)

    def _turn_back(self, reason: str) -> None:
        self._rollout = replace(self._rollout, phase=Phase.UNDOING, reason=reason)
        self.undo()

    def _end(self, phase: Phase, reason: str) -> None:
        self._rollout = replace(self._rollout, phase=phase, reason=reason, ended_at=self._now)


def instances(snapshot: Snapshot, template: UnitName) -> list[UnitName]:
    """The instances of `template`, in their natural order; none of what is no template."""
    if not parse_name(template).is_template:
        return []
    stem, _, suffix = template.partition("@")
    found: Iterable[UnitName] = (
        name
        for name in snapshot.units
        if name != template and name.startswith(f"{stem}@") and name.endswith(suffix) and name.count("@") == 1
    )
    return sorted(found, key=natural)


def _long(waited_s: float) -> bool:
    return waited_s > PLACED_WITHIN_S


def step_of(unit: Unit, new_text: str, now: float) -> Step:
    """The part of `unit` in a rollout of content. With another tag to follow, its digest is learnt anew."""
    same = followed_by(unit.name, unit.text) == followed_by(unit.name, new_text)
    return Step(unit=unit.name, at=now, old_image=unit.image, new_image=None if same else "")


def short_digest(digest: str) -> str:
    """A digest as people read it."""
    return digest.removeprefix("sha256:")[:7] or "none"
