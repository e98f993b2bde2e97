"""Resource limits of a service as values: systemd.resource-control's for memory, processor time and tasks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from inaetics.errors import UnitFileError
from inaetics.units import values
from inaetics.units.service_reader import Reader

LEAST_WEIGHT, MOST_WEIGHT = 1, 10_000
LEAST_PERIOD_S, MOST_PERIOD_S = 0.001, 1.0

_PERCENT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,4})?)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much of something: `value` in its own unit, or `share` of what the host has (1.0: all). Neither: no limit."""

    value: int | None = None
    share: float | None = None

    def of(self, whole: int) -> int | None:
        """The amount on a host that has `whole`; None is no limit."""
        return self.value if self.share is None else int(self.share * whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a service may use, all its processes together. None: nothing was said.

    `cpu_quota` is in processors (0.5: half of one), spent within each `cpu_quota_period_s`.
    """

    memory_min: Amount | None = None
    memory_low: Amount | None = None
    memory_high: Amount | None = None
    memory_max: Amount | None = None
    memory_swap_max: Amount | None = None
    cpu_quota: float | None = None
    cpu_quota_period_s: float = 0.1
    cpu_weight: int | Literal["idle"] | None = None
    tasks_max: Amount | None = None


NOTHING_SAID = Resources()


def read_resources(reader: Reader) -> Resources:
    """Read them. Raises `UnitFileError` with the line."""
    return Resources(
        memory_min=reader.one(None, _amount(values.size), "MemoryMin"),
        memory_low=reader.one(None, _amount(values.size), "MemoryLow"),
        memory_high=reader.one(None, _limit(values.size), "MemoryHigh"),
        memory_max=reader.one(None, _limit(values.size), "MemoryMax", "MemoryLimit"),
        memory_swap_max=reader.one(None, _amount(values.size), "MemorySwapMax"),
        cpu_quota=reader.one(None, _quota, "CPUQuota"),
        cpu_quota_period_s=reader.one(0.1, _period, "CPUQuotaPeriodSec"),
        cpu_weight=reader.one(None, _weight, "CPUWeight"),
        tasks_max=reader.one(None, _limit(values.count), "TasksMax"),
    )


def _amount(read: Callable[[str], int | None]) -> Callable[[str], Amount]:
    def amount(text: str) -> Amount:
        percent = _PERCENT.fullmatch(text)
        if percent is None:
            return Amount(value=read(text))
        share = float(percent[1]) / 100
        if share > 1:
            raise UnitFileError(f"{text} is more than the host has")
        return Amount(share=share)

    return amount


def _limit(read: Callable[[str], int | None]) -> Callable[[str], Amount]:
    def limit(text: str) -> Amount:
        amount = _amount(read)(text)
        if amount.value == 0 or amount.share == 0:
            raise UnitFileError(f"with a limit of {text} nothing could run")
        return amount

    return limit


def _quota(text: str) -> float:
    percent = _PERCENT.fullmatch(text)
    quota = float(percent[1]) / 100 if percent is not None else 0.0
    if quota == 0:
        raise UnitFileError(f"{text!r} is no share of a processor (write 20%, or 200% for two whole processors)")
    return quota


def _period(text: str) -> float:
    return min(max(values.time_span(text), LEAST_PERIOD_S), MOST_PERIOD_S)


def _weight(text: str) -> int | Literal["idle"]:
    if text == "idle":
        return "idle"
    weight = values.whole_number(text)
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise UnitFileError(f"{text} is no weight ({LEAST_WEIGHT} to {MOST_WEIGHT}, or idle)")
    return weight
