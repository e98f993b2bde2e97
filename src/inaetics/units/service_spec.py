"""Reading a service from its unit file.

Promises: reading is strict (a value that is not understood is an error with its line, and so are directives that
contradict each other). Specifiers are replaced; environment variables are not: their values are known at each start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from signal import Signals
from typing import TypeVar

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.units import values
from inaetics.units.command import Command, split_commands
from inaetics.units.grammar import Option, UnitFile
from inaetics.units.names import Name, parse_name
from inaetics.units.quoting import split_words
from inaetics.units.service import check
from inaetics.units.service_model import (
    EnvironmentFile,
    KillMode,
    Limit,
    NotifyAccess,
    Output,
    Restart,
    ServiceSpec,
    ServiceType,
    WorkingDirectory,
)
from inaetics.units.specifiers import expand
from inaetics.units.wording import at_option

__all__ = [
    "EnvironmentFile",
    "KillMode",
    "Limit",
    "NotifyAccess",
    "Output",
    "Restart",
    "ServiceSpec",
    "ServiceType",
    "WorkingDirectory",
    "service_spec",
]

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_TYPES_REFUSED = {
    "forking": "run the program in the foreground, with Type=simple or notify",
    "dbus": "there is no message bus",
    "idle": "nothing waits for a quiet moment here; use simple",
    "notify-reload": "reload with ExecReload=, and use notify",
}
_OUTPUTS_REFUSED = {
    "inherit": "there is nothing to inherit; use journal",
    "syslog": "use journal",
    "kmsg": "use journal",
    "tty": "there is no terminal; use journal",
    "journal+console": "there is no console; use journal",
    "kmsg+console": "there is no console; use journal",
    "socket": "there is no socket activation; use journal",
}
_SIZED_LIMITS = frozenset({"CORE"})


def service_spec(unit: UnitFile, name: Name, *, machine_id: str = "", host_name: str = "") -> ServiceSpec:
    """Read the service `name` from a unit file without `[Container]`.

    Raises `UnitFileError` with the line for what `check` refuses, for a value that is not understood, and for
    directives that contradict each other.
    """
    check(unit)
    reader = _Reader(unit, name, machine_id, host_name)
    reader.one("null", lambda text: values.one_of(text, ("null",), "input that a service can have"), "StandardInput")
    spec = _spec(reader)
    _refuse_contradictions(reader, spec)
    return spec


class _Reader:
    """Gives the values of directives, read by a parser; an error of the parser gets the directive and its line."""

    def __init__(self, unit: UnitFile, name: Name, machine_id: str, host_name: str) -> None:
        self.unit = unit
        self.name = name
        self._machine_id = machine_id
        self._host_name = host_name

    def options(self, *names: str) -> list[Option]:
        """The assignments in effect in [Unit] and [Service], in the order written."""
        found = (*self.unit.of("Unit", *names), *self.unit.of("Service", *names))
        order = {id(option): at for at, option in enumerate(self.unit.options)}
        return sorted(found, key=lambda option: order[id(option)])

    def one(self, default: T, read: Callable[[str], T], *names: str) -> T:
        """The last assignment of any of `names`."""
        options = self.options(*names)
        return self._read(options[-1], read) if options else default

    def all(self, read: Callable[[str], Iterable[T]], *names: str) -> tuple[T, ...]:
        """What every assignment gives, one after another."""
        return tuple(item for option in self.options(*names) for item in self._read(option, read))

    def expanded(self, text: str) -> str:
        return expand(text, name=self.name, machine_id=self._machine_id, host_name=self._host_name)

    def error(self, message: str, *names: str) -> UnitFileError:
        """An error at the last assignment of any of `names`, or about the unit as a whole."""
        options = self.options(*names) if names else []
        return self.unit.error(message, options[-1].line if options else None)

    def _read(self, option: Option, read: Callable[[str], T]) -> T:
        try:
            return read(option.value)
        except InvalidInput as error:
            raise at_option(self.unit, option, error) from error


def _spec(reader: _Reader) -> ServiceSpec:
    kind = reader.one(ServiceType.SIMPLE, _type, "Type")
    notify = kind is ServiceType.NOTIFY
    return ServiceSpec(
        name=str(reader.name),
        description=reader.one("", reader.expanded, "Description"),
        type=kind,
        exec_start_pre=_commands(reader, "ExecStartPre"),
        exec_start=_commands(reader, "ExecStart"),
        exec_start_post=_commands(reader, "ExecStartPost"),
        exec_reload=_commands(reader, "ExecReload"),
        exec_stop=_commands(reader, "ExecStop"),
        exec_stop_post=_commands(reader, "ExecStopPost"),
        restart=reader.one(Restart.NO, _word(Restart, "kind of restart"), "Restart"),
        restart_s=reader.one(0.1, values.time_span, "RestartSec"),
        start_limit_interval_s=reader.one(10.0, values.time_span, "StartLimitIntervalSec", "StartLimitInterval"),
        start_limit_burst=reader.one(5, values.whole_number, "StartLimitBurst"),
        success_codes=frozenset({0, *_statuses(reader, int)}),
        success_signals=_success_signals(reader, kind),
        remain_after_exit=reader.one(False, values.boolean, "RemainAfterExit"),
        timeout_start_s=reader.one(_default_start_timeout(kind), values.timeout, "TimeoutStartSec", "TimeoutSec"),
        timeout_stop_s=reader.one(90.0, values.timeout, "TimeoutStopSec", "TimeoutSec"),
        notify_access=reader.one(
            NotifyAccess.MAIN if notify else NotifyAccess.NONE, _word(NotifyAccess, "access"), "NotifyAccess"
        ),
        environment=_environment(reader),
        environment_files=reader.all(_environment_file(reader), "EnvironmentFile"),
        working_directory=reader.one(None, _working_directory(reader), "WorkingDirectory"),
        user=reader.one(None, _account(reader), "User"),
        group=reader.one(None, _account(reader), "Group"),
        umask=reader.one(0o022, values.octal, "UMask"),
        standard_output=reader.one(Output.JOURNAL, _output, "StandardOutput"),
        standard_error=_standard_error(reader),
        kill_mode=reader.one(KillMode.CONTROL_GROUP, _word(KillMode, "kill mode"), "KillMode"),
        kill_signal=reader.one(Signals.SIGTERM, _signal, "KillSignal"),
        send_sigkill=reader.one(True, values.boolean, "SendSIGKILL"),
        limits=_limits(reader),
        requires=_units(reader, "Requires"),
        wants=_units(reader, "Wants"),
        binds_to=_units(reader, "BindsTo"),
        after=_units(reader, "After"),
        before=_units(reader, "Before"),
    )


def _refuse_contradictions(reader: _Reader, spec: ServiceSpec) -> None:
    oneshot = spec.type is ServiceType.ONESHOT
    if not spec.exec_start and not (oneshot and spec.exec_stop):
        raise reader.error("the service has no ExecStart= in [Service]: there is nothing to run")
    if len(spec.exec_start) > 1 and not oneshot:
        raise reader.error(
            "several ExecStart= need Type=oneshot (an empty ExecStart= forgets those before)", "ExecStart"
        )
    if oneshot and spec.restart in (Restart.ALWAYS, Restart.ON_SUCCESS):
        raise reader.error(f"Restart={spec.restart} contradicts Type=oneshot, which is done when it ends", "Restart")
    if spec.type is ServiceType.NOTIFY and spec.notify_access is NotifyAccess.NONE:
        raise reader.error("NotifyAccess=none contradicts Type=notify, which waits for a notification", "NotifyAccess")


def _type(text: str) -> ServiceType:
    if text in _TYPES_REFUSED:
        raise UnitFileError(f"{text} is refused: {_TYPES_REFUSED[text]}")
    return _word(ServiceType, "type of service")(text)


def _word(kind: type[E], what: str) -> Callable[[str], E]:
    return lambda text: kind(values.one_of(text, tuple(kind), what))


def _default_start_timeout(kind: ServiceType) -> float:
    return math.inf if kind is ServiceType.ONESHOT else 90.0


def _commands(reader: _Reader, name: str) -> tuple[Command, ...]:
    def read(line: str) -> Iterable[Command]:
        return [_expanded_command(reader, command) for command in split_commands(line)]

    return reader.all(read, name)


def _expanded_command(reader: _Reader, command: Command) -> Command:
    return Command(
        argv=tuple(reader.expanded(word) for word in command.argv),
        argv0=None if command.argv0 is None else reader.expanded(command.argv0),
        ignore_failure=command.ignore_failure,
        substitute=command.substitute,
    )


def _statuses(reader: _Reader, kind: type[T]) -> list[T]:
    found: tuple[int | Signals, ...] = reader.all(
        lambda text: [_status(word) for word in text.split()], "SuccessExitStatus"
    )
    return [status for status in found if type(status) is kind]


def _status(word: str) -> int | Signals:
    if not word.isdigit():
        return _signal(word)
    status = values.whole_number(word)
    if status > 255:
        raise UnitFileError(f"{word} is no exit status (0 to 255)")
    return status


def _success_signals(reader: _Reader, kind: ServiceType) -> frozenset[Signals]:
    usual = frozenset[Signals]() if kind is ServiceType.ONESHOT else ServiceSpec(name="").success_signals
    return usual | frozenset(_statuses(reader, Signals))


def _signal(text: str) -> Signals:
    name = text if text.startswith("SIG") else f"SIG{text}"
    try:
        return Signals(int(text)) if text.isdigit() else Signals[name]
    except (KeyError, ValueError) as error:
        raise UnitFileError(f"{text!r} is no signal (write SIGTERM)") from error


def _environment(reader: _Reader) -> dict[str, str]:
    def read(text: str) -> Iterable[tuple[str, str]]:
        assignments = values.environment_assignments(text)
        return [(name, reader.expanded(value)) for name, value in assignments.items()]

    return dict(reader.all(read, "Environment"))


def _environment_file(reader: _Reader) -> Callable[[str], Iterable[EnvironmentFile]]:
    def read(text: str) -> Iterable[EnvironmentFile]:
        path = reader.expanded(text.removeprefix("-"))
        _check_absolute(path)
        return [EnvironmentFile(path=path, optional=text.startswith("-"))]

    return read


def _working_directory(reader: _Reader) -> Callable[[str], WorkingDirectory | None]:
    def read(text: str) -> WorkingDirectory:
        path = reader.expanded(text.removeprefix("-"))
        if path != "~":
            _check_absolute(path)
        return WorkingDirectory(path=path, optional=text.startswith("-"))

    return read


def _check_absolute(path: str) -> None:
    if not path.startswith("/"):
        raise UnitFileError(f"{path!r} is no absolute path")


def _account(reader: _Reader) -> Callable[[str], str | None]:
    def read(text: str) -> str:
        account = reader.expanded(text)
        if not re.fullmatch(r"[0-9]+|[A-Za-z_][A-Za-z0-9_.-]*\$?", account):
            raise UnitFileError(f"{account!r} is no name or number of a user or group")
        return account

    return read


def _output(text: str) -> Output:
    if text in _OUTPUTS_REFUSED:
        raise UnitFileError(f"{text} is refused: {_OUTPUTS_REFUSED[text]}")
    if text.partition(":")[0] in ("file", "append", "truncate", "fd"):
        raise UnitFileError(f"{text} is refused: lines go to the journal, where the fleet finds them")
    return _word(Output, "output")(text)


def _standard_error(reader: _Reader) -> Output:
    def read(text: str) -> Output:
        return output if text == "inherit" else _output(text)

    output = reader.one(Output.JOURNAL, _output, "StandardOutput")
    return reader.one(output, read, "StandardError")


def _limits(reader: _Reader) -> dict[str, Limit]:
    found: dict[str, Limit] = {}
    for option in reader.options("LimitNOFILE", "LimitNPROC", "LimitCORE"):
        resource = option.name.removeprefix("Limit")
        limit = reader.one(None, _limit(values.size if resource in _SIZED_LIMITS else values.count), option.name)
        if limit is not None:
            found[resource] = limit
    return found


def _limit(read: Callable[[str], int | None]) -> Callable[[str], Limit | None]:
    def read_limit(text: str) -> Limit:
        soft_text, colon, hard_text = text.partition(":")
        soft = read(soft_text)
        hard = read(hard_text) if colon else soft
        if hard is not None and (soft is None or soft > hard):
            raise UnitFileError(f"{text!r}: the soft limit is above the hard one")
        return Limit(soft=soft, hard=hard)

    return read_limit


def _units(reader: _Reader, name: str) -> tuple[str, ...]:
    def read(text: str) -> Iterable[str]:
        for word in split_words(text):
            target = parse_name(reader.expanded(word))
            if target.is_template:
                raise UnitFileError(f"{target} is a template, which never runs; name an instance")
            yield str(target)

    return tuple(dict.fromkeys(reader.all(lambda text: tuple(read(text)), name)))
