"""From a command of a unit to a process: environment, account, directory, limits, output."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from inaetics.supervisor import environment
from inaetics.supervisor.cgroups import Place
from inaetics.supervisor.directories import Places
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.launch import Child, Launch
from inaetics.supervisor.process_settings import steps
from inaetics.supervisor.spawn import spawn
from inaetics.units.command import Command, expand_variables
from inaetics.units.execution import FileOutput, Input, Limit, Output
from inaetics.units.service_model import ServiceSpec

_NUMBER_OF_LIMIT: Mapping[str, int] = {
    **{name: getattr(resource, f"RLIMIT_{name}") for name in ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC")},
    **{name: getattr(resource, f"RLIMIT_{name}") for name in ("NOFILE", "MEMLOCK", "AS", "SIGPENDING", "MSGQUEUE")},
    **{name: getattr(resource, f"RLIMIT_{name}") for name in ("NICE", "RTPRIO", "RTTIME")},
    "LOCKS": 10,
}


_TO_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
_FLAGS_OF_FILES: Mapping[str, int] = {
    "file": _TO_WRITE,
    "append": _TO_WRITE | os.O_APPEND,
    "truncate": _TO_WRITE | os.O_TRUNC,
}


@dataclass(slots=True, kw_only=True)
class Launcher:
    """Starts commands. `open_files` is the limit a unit gets that names none: the one the supervisor came with."""

    journals: Journals
    host: environment.HostEnvironment
    open_files: tuple[int, int]
    places: Places

    def make_directories(self, spec: ServiceSpec) -> None:
        """Make what the unit's RuntimeDirectory= and its like ask for. Raises InaeticsError or OSError."""
        if spec.directories:
            self.places.make(spec.directories, environment.account_of(environment.entry_of(spec.user), spec.group))

    def launch(
        self,
        spec: ServiceSpec,
        command: Command,
        own: Mapping[str, str],
        *,
        place: Place,
        tell_executed: bool,
    ) -> Child:
        """Make a process for `command`. Raises InaeticsError or OSError with what is wrong, and then starts nothing."""
        entry = environment.entry_of(spec.user)
        variables = environment.unit_environment(
            spec, self.host.now(), entry, {**self.places.variables(spec.directories), **own}
        )
        program, argv = _words(command, variables)
        directory, missing_ok = environment.directory_of(spec.working_directory, variables)
        with ExitStack() as opened:
            source = _opened(opened, _open_input(spec.standard_input))
            output = _opened(opened, self._open(spec, spec.standard_output))
            error = _opened(opened, self._open(spec, spec.standard_error))
            launch = Launch(
                program=environment.program_of(program, variables),
                argv=argv,
                environment=variables,
                directory=directory,
                missing_directory_ok=missing_ok,
                input=source,
                output=output,
                error=error,
                groups=place.procs,
                home=place.home,
                ignore_sigpipe=spec.process.ignore_sigpipe,
                steps=tuple(steps(spec.process)),
                account=environment.account_of(entry, spec.group, spec.supplementary_groups),
                umask=spec.umask,
                limits=self._limits(spec),
            )
            return spawn(launch, tell_executed=tell_executed)

    def _open(self, spec: ServiceSpec, where: Output | FileOutput) -> int:
        if isinstance(where, FileOutput):
            return os.open(where.path, _FLAGS_OF_FILES[where.how], 0o644)
        if where is Output.NULL:
            return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        return self.journals.open(spec.name)

    def _limits(self, spec: ServiceSpec) -> tuple[tuple[int, tuple[int, int]], ...]:
        limits = {resource.RLIMIT_NOFILE: self.open_files}
        for name, limit in spec.limits.items():
            limits[_NUMBER_OF_LIMIT[name]] = _limit(limit)
        return tuple(limits.items())


def _opened(stack: ExitStack, fd: int) -> int:
    """Have a descriptor closed with `stack`."""
    stack.callback(os.close, fd)
    return fd


def _open_input(source: Input) -> int:
    if source.data is None:
        return os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("input", os.MFD_CLOEXEC)
    os.write(fd, source.data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _limit(limit: Limit) -> tuple[int, int]:
    soft, hard = (resource.RLIM_INFINITY if value is None else value for value in (limit.soft, limit.hard))
    return soft, hard


def _words(command: Command, variables: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the program, and its argument list with the name it is told it has."""
    program = command.argv[0]
    words = (command.argv0 or program, *command.argv[1:])
    return program, expand_variables(words, variables) if command.substitute else words
