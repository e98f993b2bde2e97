"""The agent: makes one machine run what was placed there, and says what became of it.

Promises: it acts only on what it has read from the store, so while the store is silent healthy work goes on; work on
one unit is serial, units are worked on in parallel; its own end changes nothing for the units; a new agent takes over
what runs as it is, and stops what is not placed. A machine that comes back to the fleet reads its placements anew
before anything that waits for that (`OnLost=stop`) is started.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.fleet import agent_plan, keys, mapper
from inaetics.fleet.agent_content import Content, Contents
from inaetics.fleet.agent_desired import DesiredState, Saved
from inaetics.fleet.agent_host import Host
from inaetics.fleet.agent_images import ImageFinder
from inaetics.fleet.agent_plan import Confirm, Load, Memory, Restart, Start, Stop, Task, Unload
from inaetics.fleet.agent_reports import Reports
from inaetics.fleet.agent_touch import Touch
from inaetics.fleet.in_touch import check_times
from inaetics.fleet.model import Machine, Placement, UnitName
from inaetics.fleet.settings import AgentSettings
from inaetics.store.protocol import Changed, KeyValue, Lease, Listing, Relisted, Store, Synced
from inaetics.supervisor.protocol import Active, Supervisor
from inaetics.tasks import TaskGroup

_log = structlog.get_logger()

_NEW = Memory()


class Agent:
    """Runs one machine's share over `supervisor`.

    `engine_file` describes the host's container engine; `desired_file` is where to keep what is placed here (see
    `agent_desired`), if anywhere.
    """

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        machine: Machine,
        *,
        engine_file: Path | None = None,
        desired_file: Path | None = None,
        settings: AgentSettings | None = None,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._machine = machine
        self._settings = settings or AgentSettings()
        self._contents = Contents(store, engine_file, self._settings.touch)
        self._reports = Reports(store, machine, self._settings, self._while_listed)
        self._touch = Touch(supervisor, self._settings.touch, self._mark_what_waits)
        self._desired = DesiredState(desired_file, machine.id, delay_s=self._settings.disk_delay_s)
        self._host = Host(supervisor, self._mark, self._settings)
        self._images = ImageFinder()
        self._placements: dict[UnitName, Placement] = {}
        self._placed_known = asyncio.Event()
        self._read_at = 0
        self._settled = asyncio.Event()
        self._memories: dict[UnitName, Memory] = {}
        self._dirty: dict[UnitName, None] = {}
        self._busy: set[UnitName] = set()
        self._begun: set[UnitName] = set()
        self._marked = asyncio.Event()
        self._slots = asyncio.Semaphore(self._settings.parallel)

    @property
    def listed(self) -> asyncio.Event:
        """Set while the fleet sees this machine."""
        return self._reports.listed

    @property
    def settled(self) -> asyncio.Event:
        """Set from when the fleet saw this machine, or it went on without the store."""
        return self._settled

    async def run(self) -> None:
        """Serve until cancelled. Silence of the store or the supervisor is waited out."""
        check_times(self._settings.touch)
        self._desired.read()
        async with TaskGroup() as group:
            group.create_task(self._host.follow(), name="agent: supervisor")
            group.create_task(self._desired.run(), name="agent: disk")
            group.create_task(self._start_from_disk(), name="agent: without the store")
            await self._recall()
            group.create_task(self._follow_placements(), name="agent: placements")
            await self._placed_known.wait()
            await self._host.known.wait()
            self._desired.keep_only(self._placements.keys())
            for unit in self._host.units:
                if (status := self._host.seen(unit).status) and status.stop_when_lost:
                    self._touch.concern(unit, stops=True)
            for unit in self._placements.keys() | self._host.units:
                self._mark(unit)
            group.create_task(self._reports.run(), name="agent: reports")
            await self._work(group)

    def tell_disk(self, low: str) -> None:
        """Have the fleet know how little room this host's disk has left; empty: it has enough."""
        self._reports.tell_disk(low)

    async def leave(self) -> None:
        """After `run` was cancelled: say good-bye, unless units run here that an agent may come back to."""
        if any(agent_plan.runs(self._host.seen(unit)) for unit in self._host.units):
            _log.info("machine stays listed until its lease ends: units run", machine=self._machine.name)
            return
        await self._reports.sign_off()

    async def _recall(self) -> None:
        """Read what an earlier agent of this machine has reported: those placements need not be carried out again."""
        while True:
            try:
                listing = await self._store.list(keys.states_of(self._machine.id))
            except Unavailable as error:
                _log.warning("store does not answer", reason=str(error))
                await asyncio.sleep(self._settings.retry_s)
                continue
            for item in listing.items:
                with suppress(InvalidInput):  # of another version: that unit is looked at as if for the first time
                    state = mapper.state(keys.on_machine(item.key.removeprefix(keys.STATES)), item)
                    self._memories[state.unit] = Memory(
                        answered=state.placement_revision, content_hash=state.content_hash, image=state.image
                    )
            return

    # Placements.

    async def _follow_placements(self) -> None:
        async for event in self._store.watch(keys.placements_of(self._machine.id)):
            match event:
                case Changed() if event.revision > self._read_at:
                    self._take(event.key, event.current)
                case Relisted():
                    self._take_all(event.listing)
                    self._placed_known.set()
                case Changed() | Synced():
                    pass

    async def _read_placements(self) -> None:
        """Read them past the watch, which may be behind after an outage; it goes on from there."""
        while True:
            try:
                listing = await self._store.list(keys.placements_of(self._machine.id))
            except Unavailable as error:
                _log.debug("placements wait", reason=str(error))
                await asyncio.sleep(self._settings.retry_s)
            else:
                self._take_all(listing)
                return

    def _take_all(self, listing: Listing) -> None:
        if listing.revision < self._read_at:
            return
        self._read_at = listing.revision
        listed = {item.key: item for item in listing.items}
        for unit in list(self._placements):
            key = keys.placement(self._machine.id, unit)
            if key not in listed:
                self._take(key, None)
        for key, item in listed.items():
            self._take(key, item)

    def _take(self, key: str, item: KeyValue | None) -> None:
        where = keys.on_machine(key.removeprefix(keys.PLACEMENTS))
        unit = where[1]
        try:
            placement = mapper.placement(where, item) if item else None
        except InvalidInput as error:
            _log.error("placement ignored", unit=unit, reason=str(error))
            return
        if placement:
            if self._placements.get(unit) == placement:
                return
            self._placements[unit] = placement
        else:
            self._placements.pop(unit, None)
        self._mark(unit)

    # In touch, and out of touch.

    async def _while_listed(self, lease: Lease) -> None:
        self._settled.set()
        await self._read_placements()
        await self._touch.hold(lease)

    def _mark_what_waits(self) -> None:
        for unit in self._touch.units:
            self._mark(unit)

    async def _start_from_disk(self) -> None:
        """Start what was placed here when this host was last told, if the store is silent for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.disk_grace_s):
                await self._placed_known.wait()
        await self._host.known.wait()
        while not self._placed_known.is_set():
            todo = [saved for saved in self._desired.to_start() if saved.placement.unit not in self._host.units]
            if not todo:
                self._settled.set()
                return
            for saved in todo:
                if not self._placed_known.is_set():
                    await self._start_saved(saved)
            await asyncio.sleep(self._settings.retry_s)

    async def _start_saved(self, saved: Saved) -> None:
        placement = saved.placement
        unit = placement.unit
        self._busy.add(unit)
        try:
            content = self._contents.made_of(saved.text, placement)
            for task in (Load(), Start()):
                await self._do(unit, task, content)
            self._memories[unit] = agent_plan.carried_out(placement, _NEW, text_hash=content.hash)
            _log.info("started without the store's word", unit=unit)
        except InaeticsError as error:
            _log.warning("cannot start without the store", unit=unit, reason=str(error))
        finally:
            self._busy.discard(unit)
            self._marked.set()

    # Work.

    def _mark(self, unit: UnitName) -> None:
        self._dirty[unit] = None
        self._marked.set()

    async def _work(self, group: TaskGroup) -> None:
        while True:
            await self._marked.wait()
            self._marked.clear()
            for unit in [unit for unit in self._dirty if unit not in self._busy]:
                del self._dirty[unit]
                self._busy.add(unit)
                group.create_task(self._attend(unit), name=f"unit {unit}")

    async def _attend(self, unit: UnitName) -> None:
        try:
            async with self._slots:
                await self._carry_out(unit)
            self._report(unit)
        except Unavailable as error:
            _log.debug("unit waits", unit=unit, reason=str(error))
            self._report(unit)
            await asyncio.sleep(self._settings.retry_s)
            self._mark(unit)
        finally:
            self._busy.discard(unit)
            if unit in self._dirty:
                self._marked.set()

    async def _carry_out(self, unit: UnitName) -> None:
        placement, memory = self._placements.get(unit), self._memories.get(unit, _NEW)
        if placement is None or placement.withdraw:
            await self._give_up(unit, placement, memory)
        elif not agent_plan.has_failed(placement, memory):
            try:
                await self._bring_up(unit, placement, memory)
            except Unavailable:
                raise
            except InaeticsError as error:
                _log.warning("unit cannot run here", unit=unit, reason=str(error))
                self._memories[unit] = agent_plan.failed(placement, memory, str(error))

    async def _give_up(self, unit: UnitName, placement: Placement | None, memory: Memory) -> None:
        self._desired.drop(unit)
        for task in agent_plan.tasks(placement, self._host.seen(unit), memory, text_hash=""):
            await self._do(unit, task, None)
            if placement and isinstance(task, Confirm):
                self._memories[unit] = agent_plan.given_up(placement, self._host.seen(unit), memory)
        if placement is None and not self._host.seen(unit).known:
            self._memories.pop(unit, None)
            self._images.forget(unit)
            self._touch.concern(unit, stops=False)

    async def _bring_up(self, unit: UnitName, placement: Placement, memory: Memory) -> None:
        content = await self._contents.of(placement)
        self._desired.note(placement, content.submitted, stop_when_lost=content.stop_when_lost)
        self._touch.concern(unit, stops=content.stop_when_lost)
        if content.stop_when_lost and not self._touch.held:
            return  # it comes up again once the supervisor is armed
        todo = agent_plan.tasks(placement, self._host.seen(unit), memory, text_hash=content.hash)
        for task in todo:
            await self._do(unit, task, content)
        self._memories[unit] = agent_plan.carried_out(placement, memory, text_hash=content.hash)
        if content.container and not placement.image:
            await self._find_image(unit, placement, content.container)

    async def _find_image(self, unit: UnitName, placement: Placement, container: str) -> None:
        engine = self._contents.engine(placement)
        if found := await self._images.find(unit, self._host.seen(unit).status, container, engine):
            self._memories[unit] = replace(self._memories[unit], image=found)

    async def _do(self, unit: UnitName, task: Task, content: Content | None) -> None:
        _log.info(type(task).__name__.lower(), unit=unit)
        match task:
            case Load():
                assert content is not None, "only a placed unit is loaded, and then its content was fetched"
                await self._supervisor.load(unit, content.text, stop_when_lost=content.stop_when_lost)
                self._host.loaded(unit)
            case Start():
                await self._supervisor.start(unit)
                self._begun.add(unit)
            case Stop():
                self._begun.discard(unit)
                await self._supervisor.stop(unit)
            case Restart():
                await self._supervisor.restart(unit)
                self._begun.add(unit)
            case Unload():
                self._begun.discard(unit)
                await self._supervisor.unload(unit)
                if self._host.seen(unit).status is None:
                    await self._host.ask()
            case Confirm():
                await self._host.ask()

    def _report(self, unit: UnitName) -> None:
        placement, memory = self._placements.get(unit), self._memories.get(unit, _NEW)
        state = agent_plan.report(self._machine.id, unit, placement, self._host.seen(unit), memory)
        if state is not None and state.active != Active.INACTIVE:
            self._begun.discard(unit)  # the start that was asked for shows
        self._reports.tell(unit, state, passing=unit in self._begun)
