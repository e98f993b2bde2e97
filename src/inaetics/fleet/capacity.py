"""How much memory and how many cores this machine has for units: what it announces to the fleet.

The machine's own, unless control groups around the agent's allow less; `INAETICS_MEMORY` and `INAETICS_CORES` say
otherwise. Simulated hosts share one machine (`INAETICS_SHARED_BY` says how many): its memory is divided among them,
because memory that is promised twice ends in killed processes. Its cores are not: processes that share a core are
slower, not dead, and a unit that needs a core must find a worker on a laptop too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from inaetics.errors import InvalidInput
from inaetics.units.fleet_section import read_cores, read_memory

_UNLIMITED = 1 << 62
"""What control groups of version 1 say is larger than this where there is no limit."""


def capacity(environment: Mapping[str, str], *, root: Path = Path("/")) -> tuple[int, float]:
    """Bytes of memory, and cores; raises InvalidInput that names the variable. `root` is where /proc and /sys are."""
    memory = _told(environment, "INAETICS_MEMORY", read_memory)
    cores = _told(environment, "INAETICS_CORES", read_cores)
    if memory is None:
        memory = _memory(root) // _shared_by(environment)
    return memory, cores / 1000 if cores is not None else _cores(root)


def _told(environment: Mapping[str, str], name: str, read: Callable[[str], int]) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    try:
        return read(text)
    except InvalidInput as error:
        raise InvalidInput(f"cannot read {name}: {error}") from error


def _shared_by(environment: Mapping[str, str]) -> int:
    text = environment.get("INAETICS_SHARED_BY", "") or "1"
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"cannot read INAETICS_SHARED_BY: {text!r} is no number of hosts (write 5)")
    return int(text)


def _memory(root: Path) -> int:
    lines = (root / "proc/meminfo").read_text().splitlines()
    total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    limits = (_number(path) for path in _files(root, "memory", "memory.max", "memory.limit_in_bytes"))
    return min([total, *(limit for limit in limits if limit is not None and limit < _UNLIMITED)])


def _cores(root: Path) -> float:
    quotas = [quota for path in _files(root, "cpu", "cpu.max", "cpu.cfs_quota_us") if (quota := _quota(path))]
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def _quota(path: Path) -> float | None:
    """Cores that a control group allows; None where it does not say or allows all."""
    words = _words(path)
    if path.name == "cpu.cfs_quota_us":
        words += _words(path.with_name("cpu.cfs_period_us"))
    if len(words) != 2 or not all(word.isdecimal() for word in words) or "0" in words:
        return None
    return int(words[0]) / int(words[1])


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdecimal() else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:  # the root group has no limits, and not every controller is there
        return []


def _files(root: Path, controller: str, unified: str, legacy: str) -> Iterator[Path]:
    """The files that limit what is around this process; its own group's limits are its own, unless it has no other."""
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, name = root / "sys/fs/cgroup", unified
        elif controller in controllers.split(","):
            base, name = root / "sys/fs/cgroup" / controller, legacy
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        for around in group.parents if group.parts else (group,):
            yield base / around / name
