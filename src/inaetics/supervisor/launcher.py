"""From a command of a unit to a child at its gate: environment, account, directory, limits, output."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from inaetics.supervisor import environment
from inaetics.supervisor.journal import Journals
from inaetics.supervisor.spawn import Gate, Launch, spawn
from inaetics.units.command import Command, expand_variables
from inaetics.units.service_model import Limit, Output, ServiceSpec

_NUMBER_OF_LIMIT = {
    "NOFILE": resource.RLIMIT_NOFILE,
    "NPROC": resource.RLIMIT_NPROC,
    "CORE": resource.RLIMIT_CORE,
}


@dataclass(slots=True, kw_only=True)
class Launcher:
    """Starts commands. `open_files` is the limit a unit gets that names none: the one the supervisor came with."""

    journals: Journals
    host: environment.HostEnvironment
    open_files: tuple[int, int]

    def launch(self, spec: ServiceSpec, command: Command, own: Mapping[str, str], *, tell_executed: bool) -> Gate:
        """Fork a child for `command`. Raises InaeticsError or OSError with what is wrong, and then starts nothing."""
        entry = environment.entry_of(spec.user)
        variables = environment.unit_environment(spec, self.host.now(), entry, own)
        program, argv = _words(command, variables)
        directory, missing_ok = environment.directory_of(spec.working_directory, variables)
        output, error = self._outputs(spec)
        try:
            launch = Launch(
                program=environment.program_of(program, variables),
                argv=argv,
                environment=variables,
                directory=directory,
                missing_directory_ok=missing_ok,
                output=output,
                error=error,
                account=environment.account_of(entry, spec.group),
                umask=spec.umask,
                limits=self._limits(spec),
            )
            return spawn(launch, tell_executed=tell_executed)
        finally:
            os.close(output)
            os.close(error)

    def _outputs(self, spec: ServiceSpec) -> tuple[int, int]:
        output = self._open(spec, spec.standard_output)
        try:
            return output, self._open(spec, spec.standard_error)
        except OSError:
            os.close(output)
            raise

    def _open(self, spec: ServiceSpec, where: Output) -> int:
        if where is Output.NULL:
            return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        return self.journals.open(spec.name)

    def _limits(self, spec: ServiceSpec) -> tuple[tuple[int, tuple[int, int]], ...]:
        limits = {resource.RLIMIT_NOFILE: self.open_files}
        for name, limit in spec.limits.items():
            limits[_NUMBER_OF_LIMIT[name]] = _limit(limit)
        return tuple(limits.items())


def _limit(limit: Limit) -> tuple[int, int]:
    soft, hard = (resource.RLIM_INFINITY if value is None else value for value in (limit.soft, limit.hard))
    return soft, hard


def _words(command: Command, variables: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the program, and its argument list with the name it is told it has."""
    program = command.argv[0]
    words = (command.argv0 or program, *command.argv[1:])
    return program, expand_variables(words, variables) if command.substitute else words
