"""Limits of [Service] in a container unit: the container is not among the service's processes, its engine keeps them.

Without this a limit would hold for the engine's client only, which is not what anybody means.
"""

from __future__ import annotations

from collections.abc import Iterator

from inaetics.errors import UnitFileError
from inaetics.units.grammar import UnitFile
from inaetics.units.names import Name
from inaetics.units.resources import Amount, Resources, read_resources
from inaetics.units.service_reader import Reader
from inaetics.units.specifiers import ANYWHERE

PASSED_ON = ("MemoryMax", "MemoryLimit", "MemorySwapMax", "CPUQuota", "CPUQuotaPeriodSec", "CPUWeight", "TasksMax")
"""Directives of [Service] that become arguments of the engine."""

_V2_ONLY = ("MemoryHigh", "MemoryLow", "MemoryMin")
_SHARES_OF_WEIGHT = 10.24


def limit_flags(unit: UnitFile, name: Name, container_section: str) -> Iterator[str]:
    """Yield the arguments of `run` that keep them; keys of [Container] go before. Raises `UnitFileError`."""
    for option in unit.of("Service", *_V2_ONLY):
        message = f"[Service] {option.name}= does not reach a container: use MemoryMax=, or PodmanArgs="
        raise unit.error(message, option.line)
    reader = Reader(unit, name, ANYWHERE)
    resources = read_resources(reader)
    if not unit.of(container_section, "Memory"):
        yield from _memory(reader, resources)
    if not unit.of(container_section, "PidsLimit") and resources.tasks_max is not None:
        tasks = _bytes(reader, resources.tasks_max, "TasksMax")
        yield f"--pids-limit={-1 if tasks is None else tasks}"
    if resources.cpu_quota is not None:
        yield f"--cpus={resources.cpu_quota:g}"
    if resources.cpu_weight is not None:
        weight = 1 if resources.cpu_weight == "idle" else resources.cpu_weight
        yield f"--cpu-shares={max(2, round(weight * _SHARES_OF_WEIGHT))}"


def _memory(reader: Reader, resources: Resources) -> Iterator[str]:
    limit = _bytes(reader, resources.memory_max, "MemoryMax", "MemoryLimit")
    swap = _bytes(reader, resources.memory_swap_max, "MemorySwapMax")
    if limit is not None:
        yield f"--memory={limit}"
        if swap is not None:
            yield f"--memory-swap={limit + swap}"
    elif swap is not None:
        raise reader.error("MemorySwapMax= of a container needs MemoryMax= beside it", "MemorySwapMax")


def _bytes(reader: Reader, amount: Amount | None, *names: str) -> int | None:
    if amount is not None and amount.share is not None:
        raise _shares(reader, *names)
    return None if amount is None else amount.value


def _shares(reader: Reader, *names: str) -> UnitFileError:
    return reader.error(f"{names[0]}= of a container is a number: its engine knows no shares of the host", *names)
