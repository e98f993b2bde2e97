"""How a command is run in a unit of this host: in its container, or as its service's own processes run.

Promises: what is found is what the placement says, not what was submitted since; nothing is run here.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inaetics.errors import Conflict, NotFound
from inaetics.fleet import keys, mapper
from inaetics.fleet.agent_content import Contents
from inaetics.fleet.model import MachineId, Placement, UnitName
from inaetics.store.protocol import Store
from inaetics.supervisor.environment import account_of, directory_of, entry_of, program_of, unit_environment
from inaetics.supervisor.host_facts import host_facts, places_in
from inaetics.supervisor.launch import Account
from inaetics.supervisor.procfs import MARKER, SPAWN
from inaetics.supervisor.protocol import Active, Supervisor
from inaetics.units.container import KEPT_SECTION, ContainerEngine, container_name
from inaetics.units.grammar import UnitFile, parse
from inaetics.units.names import Name, parse_name
from inaetics.units.service_spec import service_spec
from inaetics.units.specifiers import Host

_RUNS = frozenset({Active.ACTIVE, Active.RELOADING, Active.ACTIVATING})

_OWN = ("NOTIFY_SOCKET", "MAINPID", "INVOCATION_ID", SPAWN, "LISTEN_PID", "LISTEN_FDS", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What the agent's own supervisor tells the agent, and nobody else."""


TAG = "INAETICS_EXEC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A process to make: `argv[0]` is an absolute path; `account` None: stay who we are.

    `tag`: what it starts elsewhere, in a container, carries the variable `TAG` with this value.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    account: Account | None = None
    umask: int = 0o022
    tag: str = ""


class UnitCommands:
    """Knows the units of one machine. `environment` is the agent's own, which is its host's."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        machine: MachineId,
        *,
        engine_file: Path | None,
        environment: Mapping[str, str],
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._machine = machine
        self._contents = Contents(store, engine_file)
        self._environment = {name: value for name, value in environment.items() if name not in _OWN}

    async def launch(self, name: str, words: Sequence[str], *, stdin: bool) -> Launch:
        """What runs `words` in the unit.

        Raises `NotFound` for a unit that is not here or a program that is not, `Conflict` for a unit that does not
        run, `Unavailable` when store or supervisor do not answer.
        """
        await self._refuse_idle(name)
        placement = await self._placement(name)
        unit_file = parse((await self._contents.of(placement)).text, source=name)
        if KEPT_SECTION in unit_file.section_names:
            return self._in_container(unit_file, parse_name(name), words, self._contents.engine(placement), stdin=stdin)
        return self._beside_service(unit_file, parse_name(name), words)

    async def _refuse_idle(self, name: str) -> None:
        status = (await self._supervisor.states()).get(name)
        if status is None or status.system:
            raise NotFound(f"there is no unit '{name}' on this machine")
        if status.active not in _RUNS:
            raise Conflict(
                f"cannot run a command in '{name}': it is {status.active} ({status.sub})"
                f" (start it: fleetctl start {name})"
            )

    async def _placement(self, name: str) -> Placement:
        at = (self._machine, UnitName(name))
        item = await self._store.get(keys.placement(*at))
        if item is None:
            raise NotFound(f"unit '{name}' is not placed on this machine any more (see: fleetctl status {name})")
        return mapper.placement(at, item)

    def _in_container(
        self, unit_file: UnitFile, name: Name, words: Sequence[str], engine: ContainerEngine, *, stdin: bool
    ) -> Launch:
        container = container_name(unit_file, name, machine_id=self._machine, host_name=self._host_name)
        tag = uuid.uuid4().hex
        interactive = ("--interactive",) if stdin else ()
        program = program_of(engine.command[0], self._environment)
        argv = (program, *engine.command[1:], "exec", *interactive, f"--env={TAG}={tag}", container, *words)
        return Launch(argv=argv, environment=self._environment, directory="/", tag=tag)

    def _beside_service(self, unit_file: UnitFile, name: Name, words: Sequence[str]) -> Launch:
        spec = service_spec(unit_file, name, host=self._host())
        entry = entry_of(spec.user)
        own = {MARKER: self._environment[MARKER]} if MARKER in self._environment else {}
        variables = unit_environment(spec, self._environment, entry, own)
        directory, optional = directory_of(spec.working_directory, variables)
        if not os.path.isdir(directory):
            if not optional:
                raise NotFound(f"cannot run a command in '{name}': its WorkingDirectory={directory} does not exist")
            directory = "/"
        return Launch(
            argv=(program_of(words[0], variables), *words[1:]),
            environment=variables,
            directory=directory,
            account=account_of(entry, spec.group),
            umask=spec.umask,
        )

    def _host(self) -> Host:
        return replace(host_facts(self._environment, places_in(self._environment)), machine_id=self._machine)

    @property
    def _host_name(self) -> str:
        return self._environment.get("INAETICS_HOST", "")
