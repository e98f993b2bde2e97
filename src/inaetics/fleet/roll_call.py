"""Asks the store whether machines live whose keys were only found, by whether their leases are renewed.

Promises: who is told of as heard was alive after its key was listed. A lease has certainly been renewed between two
answers when it has more left at the second than it can have had without, and no leader of the store came in between,
who would have extended it. That is known a moment later only: etcd tells the term of what it has applied, and a new
leader extends leases before it has applied anything. A machine is asked for until it is heard; then it costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from inaetics.errors import InvalidInput, Unavailable
from inaetics.fleet.attendance import Attendance
from inaetics.fleet.model import MachineId
from inaetics.store.protocol import Remaining, Store

_log = structlog.get_logger()

_SLACK_S = 0.5
"""Added to a third of the TTL, in which a lease is renewed: renewals take their time."""

_AGAIN_S = 1.0
"""Pause after the store did not answer."""

_TERM_S = 0.5
"""How long a new leader of the store may take until its term shows: one entry, committed and applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the store answered of a lease, and when (seconds of the loop's clock) it was asked and had answered."""

    lease: int
    asked_at: float
    answered_at: float
    said: Remaining


def renewed(first: Reading, second: Reading, third: Reading) -> bool:
    """Was the lease renewed between `second` and `third`?

    `first` was answered before `second` was asked, in the same term: so `second` tells of a lease that the leader of
    that term had extended already, if it did. Nothing left tells nothing: the store cuts seconds off towards zero, also
    those of a lease that has ended and awaits its removal.
    """
    if third.said.left_s <= 0:
        return False
    if len({(each.lease, each.said.term) for each in (first, second, third)}) != 1:
        return False
    return third.said.left_s >= second.said.left_s + 1 - (third.asked_at - second.answered_at)


class RollCall:
    """Has `attendance` hear the machines that it does not, for as long as `run` runs."""

    def __init__(self, store: Store, attendance: Attendance) -> None:
        self._store = store
        self._attendance = attendance
        self._readings: dict[MachineId, tuple[Reading, Reading]] = {}
        self._pause_s = _SLACK_S
        self._news = asyncio.Event()

    def begin(self) -> None:
        """Look again: machines were listed."""
        self._news.set()

    async def run(self) -> None:
        """Ask while there is anybody to ask for, for ever. Silence of the store is waited out.

        A store that refuses to tell is asked no more: then machines are waited for that report nothing, no worse.
        """
        while True:
            self._news.clear()
            unheard = self._attendance.unheard
            for machine in self._readings.keys() - unheard.keys():
                del self._readings[machine]
            if not unheard:
                await self._news.wait()
                continue
            try:
                await self._ask_for(unheard)
            except Unavailable as error:
                _log.debug("roll call waits", reason=str(error))
                await asyncio.sleep(_AGAIN_S)
            except InvalidInput as error:
                _log.warning("no roll call", reason=str(error))
                return
            else:
                await asyncio.sleep(self._pause_s)

    async def _ask_for(self, unheard: Mapping[MachineId, int]) -> None:
        heard = {machine: lease for machine, lease in unheard.items() if await self._is_heard(machine, lease)}
        if not heard:
            return
        await asyncio.sleep(_TERM_S)
        if (last := await self._read(next(iter(heard.values())))) is None:
            return  # that one's key is going; the others are asked for again
        for machine, lease in heard.items():
            if self._readings[machine][1].said.term == last.said.term:
                self._attendance.heard(machine, lease)
                _log.debug("machine heard", machine=machine)

    async def _is_heard(self, machine: MachineId, lease: int) -> bool:
        if (before := self._readings.get(machine)) is None:
            first, second = await self._read(lease), await self._read(lease)
            if first and second:
                self._readings[machine] = first, second
            return False
        if (reading := await self._read(lease)) is None:
            return False  # its key is going, which the mirror will tell
        self._readings[machine] = before[1], reading
        return renewed(*before, reading)

    async def _read(self, lease: int) -> Reading | None:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        said = await self._store.remaining(lease)
        if said is None:
            return None
        self._pause_s = said.granted_s / 3 + _SLACK_S
        return Reading(lease=lease, asked_at=asked_at, answered_at=loop.time(), said=said)
