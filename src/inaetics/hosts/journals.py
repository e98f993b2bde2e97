"""Reading a host's journals from their files: this works whether the host runs or not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from inaetics.errors import NotFound
from inaetics.hosts.paths import HostPaths
from inaetics.supervisor.journal import Journals

LOOK_S = 0.2


def units_with_journals(host: HostPaths) -> list[str]:
    """Every unit that has ever written something on this host."""
    return sorted(path.parent.name for path in (host.supervisor / "journal").glob("*/current"))


def find_unit(host: HostPaths, name: str) -> str:
    """The unit a person means by `name`; `.service` may be left out. Raises `NotFound` with the names there are."""
    known = units_with_journals(host)
    for candidate in (name, f"{name}.service"):
        if candidate in known:
            return candidate
    there = f"there are: {', '.join(known)}" if known else "nothing ever ran there"
    raise NotFound(f"{host.name} has no journal of {name!r} ({there})")


def read(host: HostPaths, units: Sequence[str], *, lines: int, follow: bool) -> Iterator[tuple[str, str]]:
    """Yield (unit, line): the last `lines` of each unit in turn, then with `follow` what comes, for ever."""
    journals = Journals(host.supervisor / "journal")
    offsets: dict[str, int] = {}
    for unit in units:
        found, offsets[unit] = journals.tail(unit, lines)
        yield from ((unit, line) for line in found)
    while follow:
        for unit in units:
            found, offsets[unit] = journals.read(unit, offsets[unit])
            yield from ((unit, line) for line in found)
        time.sleep(LOOK_S)
