"""Which file of a control group says which limit, and how: v1 and v2 differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inaetics.units.resources import Amount, Resources

LIMITS = ("memory", "cpu", "pids")
"""The controllers that a unit's limits can need."""

_LEAST_QUOTA_S = 0.001
_V1_SHARES_OF_WEIGHT = 10.24
_V1_LEAST_SHARES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value for one file of a unit's group of `controller`; `directive` is what asked for it."""

    controller: str
    file: str
    value: str
    directive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What the host has: bytes of memory, and how many tasks the kernel takes."""

    memory: int
    tasks: int


def settings(resources: Resources, unified: Mapping[str, bool], whole: Whole) -> tuple[list[Setting], list[str]]:
    """Return what to write, in order, and what cannot be kept.

    `unified` has the controllers that can be used, and whether each is of v2.
    """
    wanted: list[Setting] = []
    unmet: list[str] = []
    for controller, directive, files in _asked(resources, unified, whole):
        if controller not in unified:
            unmet.append(f"{directive} is not kept on this host: it gives us no {controller} controller")
        elif not files:
            unmet.append(f"{directive} is not kept on this host: its {controller} controller is of cgroup v1")
        else:
            wanted += [Setting(controller=controller, file=f, value=v, directive=directive) for f, v in files]
    return wanted, unmet


_Files = list[tuple[str, str]]


def _asked(resources: Resources, unified: Mapping[str, bool], whole: Whole) -> Iterator[tuple[str, str, _Files]]:
    """Yield controller, directive and files; no files: this version of the controller cannot do it."""
    yield from _memory(resources, whole.memory, v2=unified.get("memory", True))
    yield from _cpu(resources, v2=unified.get("cpu", True))
    if resources.tasks_max is not None:
        yield "pids", "TasksMax=", [("pids.max", _number(resources.tasks_max.of(whole.tasks), "max"))]


def _memory(resources: Resources, whole: int, *, v2: bool) -> Iterator[tuple[str, str, _Files]]:
    limit, swap = resources.memory_max, resources.memory_swap_max
    if limit is not None:
        amount = limit.of(whole)
        v1 = ("memory.limit_in_bytes", _number(amount, "-1"))
        yield "memory", "MemoryMax=", [("memory.max", _number(amount, "max")) if v2 else v1]
    if swap is not None:
        yield "memory", "MemorySwapMax=", _swap(limit, swap, whole, v2=v2)
    for directive, file, given in (
        ("MemoryHigh=", "memory.high", resources.memory_high),
        ("MemoryLow=", "memory.low", resources.memory_low),
        ("MemoryMin=", "memory.min", resources.memory_min),
    ):
        if given is not None:
            yield "memory", directive, [(file, _number(given.of(whole), "max"))] if v2 else []


def _swap(limit: Amount | None, swap: Amount, whole: int, *, v2: bool) -> _Files:
    """v1 limits memory and swap together, so it needs to know the former."""
    amount = swap.of(whole)
    if v2:
        return [("memory.swap.max", _number(amount, "max"))]
    memory = limit.of(whole) if limit is not None else None
    if memory is None or amount is None:
        return []
    return [("memory.memsw.limit_in_bytes", str(memory + amount))]


def _cpu(resources: Resources, *, v2: bool) -> Iterator[tuple[str, str, _Files]]:
    quota, weight = resources.cpu_quota, resources.cpu_weight
    if quota is not None:
        period_s = max(resources.cpu_quota_period_s, _LEAST_QUOTA_S / quota)
        period, runtime = str(round(period_s * 1e6)), str(round(quota * period_s * 1e6))
        v1 = [("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", runtime)]
        yield "cpu", "CPUQuota=", [("cpu.max", f"{runtime} {period}")] if v2 else v1
    if weight == "idle":
        yield "cpu", "CPUWeight=", [("cpu.idle", "1")] if v2 else [("cpu.shares", str(_V1_LEAST_SHARES))]
    elif weight is not None:
        shares = str(max(round(weight * _V1_SHARES_OF_WEIGHT), _V1_LEAST_SHARES))
        yield "cpu", "CPUWeight=", [("cpu.weight", str(weight))] if v2 else [("cpu.shares", shares)]


def _number(amount: int | None, unlimited: str) -> str:
    return unlimited if amount is None else str(amount)
