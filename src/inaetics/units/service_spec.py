"""Reading a service from its unit file.

Promises: reading is strict (a value that is not understood is an error with its line, and so are directives that
contradict each other). Specifiers are replaced; environment variables are not: their values are known at each start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from signal import Signals

from inaetics.errors import UnitFileError
from inaetics.units import service_exec, values
from inaetics.units.command import Command, split_commands
from inaetics.units.conditions import read_conditions
from inaetics.units.execution import FileOutput, Limit, Output
from inaetics.units.exit_status import read_ends
from inaetics.units.grammar import UnitFile
from inaetics.units.names import Name, parse_name
from inaetics.units.quoting import split_words
from inaetics.units.resources import read_resources
from inaetics.units.service import check
from inaetics.units.service_model import (
    EnvironmentFile,
    FailureMode,
    KillMode,
    NotifyAccess,
    OomPolicy,
    Restart,
    ServiceSpec,
    ServiceType,
    WorkingDirectory,
)
from inaetics.units.service_reader import Reader, refusing, signal_number, word
from inaetics.units.specifiers import ANYWHERE, Host

__all__ = [
    "EnvironmentFile",
    "FileOutput",
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

_TYPES_REFUSED = {
    "forking": "run the program in the foreground, with Type=simple or notify",
    "dbus": "there is no message bus",
    "idle": "nothing waits for a quiet moment here; use simple",
    "notify-reload": "reload with ExecReload=, and use notify",
}


def service_spec(unit: UnitFile, name: Name, *, host: Host = ANYWHERE) -> ServiceSpec:
    """Read the service `name` from a unit file without `[Container]`, as it is on `host`.

    Raises `UnitFileError` with the line for what `check` refuses, for a value that is not understood, and for
    directives that contradict each other.
    """
    check(unit)
    reader = Reader(unit, name, host)
    spec = _killed(reader, _surrounded(reader, _service(reader)))
    _refuse_contradictions(reader, spec)
    return spec


def _service(reader: Reader) -> ServiceSpec:
    """What it is, what it runs and when."""
    kind = reader.one(ServiceType.SIMPLE, refusing(_TYPES_REFUSED, word(ServiceType, "type of service")), "Type")
    notify = kind is ServiceType.NOTIFY
    access = NotifyAccess.MAIN if notify or reader.options("WatchdogSec") else NotifyAccess.NONE
    success = read_ends(reader, "SuccessExitStatus")
    usual = frozenset[Signals]() if kind is ServiceType.ONESHOT else ServiceSpec(name="").success_signals
    return ServiceSpec(
        name=str(reader.name),
        description=reader.one("", reader.expanded, "Description"),
        type=kind,
        exec_condition=_commands(reader, "ExecCondition"),
        exec_start_pre=_commands(reader, "ExecStartPre"),
        exec_start=_commands(reader, "ExecStart"),
        exec_start_post=_commands(reader, "ExecStartPost"),
        exec_reload=_commands(reader, "ExecReload"),
        exec_stop=_commands(reader, "ExecStop"),
        exec_stop_post=_commands(reader, "ExecStopPost"),
        restart=reader.one(Restart.NO, word(Restart, "kind of restart"), "Restart"),
        restart_s=reader.one(0.1, values.time_span, "RestartSec"),
        start_limit_interval_s=reader.one(10.0, values.time_span, "StartLimitIntervalSec", "StartLimitInterval"),
        start_limit_burst=reader.one(5, values.whole_number, "StartLimitBurst"),
        success_codes=success.codes | {0},
        success_signals=success.signals | usual,
        restart_prevent=read_ends(reader, "RestartPreventExitStatus"),
        restart_force=read_ends(reader, "RestartForceExitStatus"),
        remain_after_exit=reader.one(False, values.boolean, "RemainAfterExit"),
        notify_access=reader.one(access, word(NotifyAccess, "access"), "NotifyAccess"),
        conditions=read_conditions(reader),
        requires=_units(reader, "Requires"),
        wants=_units(reader, "Wants"),
        binds_to=_units(reader, "BindsTo"),
        after=_units(reader, "After"),
        before=_units(reader, "Before"),
        requisite=_units(reader, "Requisite"),
        part_of=_units(reader, "PartOf"),
        conflicts=_units(reader, "Conflicts"),
        on_success=_units(reader, "OnSuccess"),
        on_failure=_units(reader, "OnFailure"),
    )


def _surrounded(reader: Reader, spec: ServiceSpec) -> ServiceSpec:
    """Add what its processes find around them."""
    output, error = service_exec.outputs(reader)
    return replace(
        spec,
        environment=service_exec.environment(reader),
        environment_files=service_exec.environment_files(reader),
        pass_environment=service_exec.passed_environment(reader),
        unset_environment=service_exec.unset_environment(reader),
        working_directory=service_exec.working_directory(reader),
        user=reader.one(None, reader.account, "User"),
        group=reader.one(None, reader.account, "Group"),
        supplementary_groups=service_exec.supplementary_groups(reader),
        umask=reader.one(0o022, values.octal, "UMask"),
        standard_input=service_exec.standard_input(reader),
        standard_output=output,
        standard_error=error,
        directories=service_exec.directories(reader),
        process=service_exec.process_settings(reader),
        limits=service_exec.limits(reader),
        resources=read_resources(reader),
        oom_policy=reader.one(OomPolicy.STOP, word(OomPolicy, "policy"), "OOMPolicy"),
    )


def _killed(reader: Reader, spec: ServiceSpec) -> ServiceSpec:
    """Add how long things may take, and how it is ended."""
    usual_start = math.inf if spec.type is ServiceType.ONESHOT else 90.0
    return replace(
        spec,
        timeout_start_s=reader.one(usual_start, values.timeout, "TimeoutStartSec", "TimeoutSec"),
        timeout_stop_s=reader.one(90.0, values.timeout, "TimeoutStopSec", "TimeoutSec"),
        timeout_abort_s=reader.one(None, values.timeout, "TimeoutAbortSec"),
        start_failure_mode=reader.one(FailureMode.TERMINATE, word(FailureMode, "mode"), "TimeoutStartFailureMode"),
        stop_failure_mode=reader.one(FailureMode.TERMINATE, word(FailureMode, "mode"), "TimeoutStopFailureMode"),
        runtime_max_s=reader.one(math.inf, values.timeout, "RuntimeMaxSec"),
        watchdog_s=reader.one(math.inf, values.timeout, "WatchdogSec"),
        watchdog_signal=reader.one(Signals.SIGABRT, signal_number, "WatchdogSignal"),
        kill_mode=reader.one(KillMode.CONTROL_GROUP, word(KillMode, "kill mode"), "KillMode"),
        kill_signal=reader.one(Signals.SIGTERM, signal_number, "KillSignal"),
        restart_kill_signal=reader.one(None, signal_number, "RestartKillSignal"),
        final_kill_signal=reader.one(Signals.SIGKILL, signal_number, "FinalKillSignal"),
        send_sigkill=reader.one(True, values.boolean, "SendSIGKILL"),
        send_sighup=reader.one(False, values.boolean, "SendSIGHUP"),
    )


def _refuse_contradictions(reader: Reader, spec: ServiceSpec) -> None:
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
    if math.isfinite(spec.watchdog_s) and spec.notify_access is NotifyAccess.NONE:
        raise reader.error("NotifyAccess=none contradicts WatchdogSec=, which waits for notifications", "NotifyAccess")
    if oneshot and math.isfinite(spec.runtime_max_s):
        raise reader.error("RuntimeMaxSec= has no effect with Type=oneshot; use TimeoutStartSec=", "RuntimeMaxSec")
    if str(reader.name) in spec.conflicts:
        raise reader.error("Conflicts= names the unit itself: it could never start", "Conflicts")


def _commands(reader: Reader, name: str) -> tuple[Command, ...]:
    def read(line: str) -> Iterable[Command]:
        return [_expanded_command(reader, command) for command in split_commands(line)]

    return reader.all(read, name)


def _expanded_command(reader: Reader, command: Command) -> Command:
    return Command(
        argv=tuple(reader.expanded(word) for word in command.argv),
        argv0=None if command.argv0 is None else reader.expanded(command.argv0),
        ignore_failure=command.ignore_failure,
        substitute=command.substitute,
    )


def _units(reader: Reader, name: str) -> tuple[str, ...]:
    def read(text: str) -> Iterable[str]:
        for each in split_words(text):
            target = parse_name(reader.expanded(each))
            if target.is_template:
                raise UnitFileError(f"{target} is a template, which never runs; name an instance")
            yield str(target)

    return tuple(dict.fromkeys(reader.all(lambda text: tuple(read(text)), name)))
