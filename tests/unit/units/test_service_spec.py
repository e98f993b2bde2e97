"""Services as values: every honoured directive, systemd's defaults, and what is refused with its line."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from signal import Signals
from typing import Any

import pytest

from inaetics.errors import UnitFileError
from inaetics.units.command import Command
from inaetics.units.conditions import KINDS, Condition
from inaetics.units.directives import DIRECTIVES, Standing
from inaetics.units.execution import Directory, DirectoryKind, FileOutput, Input, Preserve, ProcessSettings
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.resources import Amount, Resources
from inaetics.units.service_model import Ends, FailureMode, OomPolicy
from inaetics.units.service_spec import (
    EnvironmentFile,
    KillMode,
    Limit,
    NotifyAccess,
    Output,
    Restart,
    ServiceSpec,
    ServiceType,
    WorkingDirectory,
    service_spec,
)
from inaetics.units.specifiers import ANYWHERE

FELIX = parse_name("felix@1.service")
TRUE = Command(argv=("/bin/true",))


def _limit(value: int | None) -> Limit:
    return Limit(soft=value, hard=value)


def read(lines: str) -> ServiceSpec:
    """The lines stand in [Service] unless they begin another section; line 3 is the first of them."""
    text = f"[Service]\nExecStart=/bin/true\n{lines}\n"
    return service_spec(parse(text), FELIX, host=replace(ANYWHERE, machine_id="0123abcd", name="worker-4"))


def test_the_defaults_are_systemds() -> None:
    assert read("") == ServiceSpec(
        name="felix@1.service",
        exec_start=(TRUE,),
        type=ServiceType.SIMPLE,
        restart=Restart.NO,
        restart_s=0.1,
        start_limit_interval_s=10,
        start_limit_burst=5,
        timeout_start_s=90,
        timeout_stop_s=90,
        notify_access=NotifyAccess.NONE,
        kill_mode=KillMode.CONTROL_GROUP,
        kill_signal=Signals.SIGTERM,
        send_sigkill=True,
        umask=0o022,
        success_codes=frozenset({0}),
        success_signals=frozenset({Signals.SIGHUP, Signals.SIGINT, Signals.SIGTERM, Signals.SIGPIPE}),
    )


READ: list[tuple[str, dict[str, Any]]] = [
    ("Type=exec", {"type": ServiceType.EXEC}),
    ("Type=notify", {"type": ServiceType.NOTIFY, "notify_access": NotifyAccess.MAIN}),
    ("Type=notify\nNotifyAccess=all", {"type": ServiceType.NOTIFY, "notify_access": NotifyAccess.ALL}),
    ("Type=oneshot", {"type": ServiceType.ONESHOT, "timeout_start_s": math.inf, "success_signals": frozenset()}),
    ("ExecStart=\nExecStart=/bin/a %i", {"exec_start": (Command(argv=("/bin/a", "1")),)}),
    (
        "ExecStartPre=-/bin/a ; /bin/b\nExecStartPre=/bin/c",
        {
            "exec_start_pre": (
                Command(argv=("/bin/a",), ignore_failure=True),
                Command(argv=("/bin/b",)),
                Command(argv=("/bin/c",)),
            )
        },
    ),
    ("ExecStartPost=/bin/true", {"exec_start_post": (TRUE,)}),
    ("ExecReload=/bin/true", {"exec_reload": (TRUE,)}),
    ("ExecStop=/bin/true", {"exec_stop": (TRUE,)}),
    ("ExecStopPost=/bin/true", {"exec_stop_post": (TRUE,)}),
    ("ExecStop=@/bin/a '%p %i' ${X}", {"exec_stop": (Command(argv=("/bin/a", "${X}"), argv0="felix 1"),)}),
    ("Restart=on-failure\nRestartSec=2", {"restart": Restart.ON_FAILURE, "restart_s": 2}),
    ("Restart=always\nRestart=", {"restart": Restart.NO}),
    ("TimeoutSec=5", {"timeout_start_s": 5, "timeout_stop_s": 5}),
    ("TimeoutSec=5\nTimeoutStopSec=7", {"timeout_start_s": 5, "timeout_stop_s": 7}),
    ("TimeoutStopSec=7\nTimeoutSec=5", {"timeout_start_s": 5, "timeout_stop_s": 5}),
    ("TimeoutStartSec=0\nTimeoutStopSec=infinity", {"timeout_start_s": math.inf, "timeout_stop_s": math.inf}),
    ('Environment=A=1 "B=x %i"\nEnvironment=A=2', {"environment": {"A": "2", "B": "x 1"}}),
    ("Environment=A=1\nEnvironment=\nEnvironment=B=2", {"environment": {"B": "2"}}),
    ("Environment=A=$B%%", {"environment": {"A": "$B%"}}),
    (
        "EnvironmentFile=/etc/%p\nEnvironmentFile=-/etc/b c",
        {"environment_files": (EnvironmentFile(path="/etc/felix"), EnvironmentFile(path="/etc/b c", optional=True))},
    ),
    ("WorkingDirectory=/srv/%H", {"working_directory": WorkingDirectory(path="/srv/worker-4")}),
    ("WorkingDirectory=-~", {"working_directory": WorkingDirectory(path="~", optional=True)}),
    ("User=felix\nGroup=1000", {"user": "felix", "group": "1000"}),
    ("UMask=0077", {"umask": 0o077}),
    ("StandardInput=null", {}),
    ("StandardOutput=null", {"standard_output": Output.NULL, "standard_error": Output.NULL}),
    ("StandardOutput=null\nStandardError=journal", {"standard_output": Output.NULL, "standard_error": Output.JOURNAL}),
    ("StandardError=null", {"standard_error": Output.NULL}),
    ("KillMode=mixed\nKillSignal=SIGINT\nSendSIGKILL=no",
     {"kill_mode": KillMode.MIXED, "kill_signal": Signals.SIGINT, "send_sigkill": False}),
    ("KillSignal=9", {"kill_signal": Signals.SIGKILL}),
    ("KillSignal=USR1", {"kill_signal": Signals.SIGUSR1}),
    ("RemainAfterExit=yes", {"remain_after_exit": True}),
    (
        "Type=oneshot\nSuccessExitStatus=1 143 SIGKILL\nSuccessExitStatus=2",
        {
            "type": ServiceType.ONESHOT,
            "timeout_start_s": math.inf,
            "success_codes": frozenset({0, 1, 2, 143}),
            "success_signals": frozenset({Signals.SIGKILL}),
        },
    ),
    ("LimitNOFILE=1024:4096", {"limits": {"NOFILE": Limit(soft=1024, hard=4096)}}),
    ("LimitNOFILE=1024\nLimitNPROC=infinity\nLimitCORE=1M",
     {"limits": {"NOFILE": Limit(soft=1024, hard=1024), "NPROC": Limit(soft=None, hard=None),
                 "CORE": Limit(soft=1048576, hard=1048576)}}),
    ("StartLimitInterval=1min\nStartLimitBurst=3", {"start_limit_interval_s": 60, "start_limit_burst": 3}),
    ("[Unit]\nStartLimitIntervalSec=0\nStartLimitBurst=0", {"start_limit_interval_s": 0, "start_limit_burst": 0}),
    ("[Unit]\nDescription=Felix %i", {"description": "Felix 1"}),
    ("[Unit]\nRequires=a.service b@%i.service\nRequires=a.service", {"requires": ("a.service", "b@1.service")}),
    ("[Unit]\nWants=a.service\nBindsTo=b.service\nAfter=c.target\nBefore=d.service",
     {"wants": ("a.service",), "binds_to": ("b.service",), "after": ("c.target",), "before": ("d.service",)}),
    ("[Install]\nWantedBy=multi-user.target", {}),
    ("ExecCondition=/bin/true", {"exec_condition": (TRUE,)}),
    ("RestartPreventExitStatus=3 TEMPFAIL\nRestartForceExitStatus=SIGABRT 4",
     {"restart_prevent": Ends(frozenset({3, 75}), frozenset()),
      "restart_force": Ends(frozenset({4}), frozenset({Signals.SIGABRT}))}),
    ("TimeoutAbortSec=5\nTimeoutStartFailureMode=abort\nTimeoutStopFailureMode=kill",
     {"timeout_abort_s": 5, "start_failure_mode": FailureMode.ABORT, "stop_failure_mode": FailureMode.KILL}),
    ("RuntimeMaxSec=1h", {"runtime_max_s": 3600}),
    ("WatchdogSec=3\nWatchdogSignal=SIGTERM",
     {"watchdog_s": 3, "watchdog_signal": Signals.SIGTERM, "notify_access": NotifyAccess.MAIN}),
    ("WatchdogSec=0", {"notify_access": NotifyAccess.MAIN}),
    ("Restart=on-watchdog", {"restart": Restart.ON_WATCHDOG}),
    ("RestartKillSignal=INT\nFinalKillSignal=SIGQUIT\nSendSIGHUP=yes",
     {"restart_kill_signal": Signals.SIGINT, "final_kill_signal": Signals.SIGQUIT, "send_sighup": True}),
    ("SupplementaryGroups=a b\nSupplementaryGroups=%p", {"supplementary_groups": ("a", "b", "felix")}),
    ("PassEnvironment=A B\nPassEnvironment=C", {"pass_environment": ("A", "B", "C")}),
    ("UnsetEnvironment=A B=x%i", {"unset_environment": ("A", "B=x1")}),
    ("StandardInput=file:/etc/%p", {"standard_input": Input(path="/etc/felix")}),
    ("StandardInputText=  a b\\tc\nStandardInputData=ZGVm\nStandardInput=data",
     {"standard_input": Input(data=b"a b\tc\ndef")}),
    ("StandardOutput=append:/var/log/%p.log",
     {"standard_output": FileOutput(path="/var/log/felix.log", how="append"),
      "standard_error": FileOutput(path="/var/log/felix.log", how="append")}),
    ("StandardOutput=truncate:/a\nStandardError=file:/b",
     {"standard_output": FileOutput(path="/a", how="truncate"), "standard_error": FileOutput(path="/b", how="file")}),
    ("RuntimeDirectory=a b/%i\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=restart",
     {"directories": (
         Directory(kind=DirectoryKind.RUNTIME, path="a", mode=0o700, preserve=Preserve.RESTART),
         Directory(kind=DirectoryKind.RUNTIME, path="b/1", mode=0o700, preserve=Preserve.RESTART))}),
    ("StateDirectory=s:link\nCacheDirectory=c\nLogsDirectory=l\nConfigurationDirectory=e\n"
     "StateDirectoryMode=0750\nCacheDirectoryMode=0750\nLogsDirectoryMode=0750\nConfigurationDirectoryMode=0750",
     {"directories": (
         Directory(kind=DirectoryKind.STATE, path="s", links=("link",), mode=0o750),
         Directory(kind=DirectoryKind.CACHE, path="c", mode=0o750),
         Directory(kind=DirectoryKind.LOGS, path="l", mode=0o750),
         Directory(kind=DirectoryKind.CONFIGURATION, path="e", mode=0o750))}),
    ("Nice=-5\nOOMScoreAdjust=500\nIOSchedulingClass=idle\nIOSchedulingPriority=7\nCPUSchedulingPolicy=rr\n"
     "CPUSchedulingPriority=2\nCPUSchedulingResetOnFork=yes\nCPUAffinity=0 2-3,5\nTimerSlackNSec=1ms\n"
     "CoredumpFilter=shared-anonymous 10\nIgnoreSIGPIPE=no\nNoNewPrivileges=yes",
     {"process": ProcessSettings(
         nice=-5, oom_score_adjust=500, io_class=3, io_priority=7, cpu_policy=2, cpu_priority=2,
         cpu_reset_on_fork=True, cpu_affinity=frozenset({0, 2, 3, 5}), timer_slack_ns=1_000_000, coredump_filter=0x12,
         ignore_sigpipe=False, no_new_privileges=True)}),
    ("LimitCPU=1min\nLimitFSIZE=1G\nLimitDATA=1K\nLimitSTACK=8M:16M\nLimitRSS=infinity\nLimitAS=2G\nLimitMEMLOCK=64K",
     {"limits": {"CPU": _limit(60), "FSIZE": _limit(1 << 30), "DATA": _limit(1024),
                 "STACK": Limit(soft=8 << 20, hard=16 << 20), "RSS": _limit(None), "AS": _limit(2 << 30),
                 "MEMLOCK": _limit(65536)}}),
    ("LimitLOCKS=3\nLimitSIGPENDING=4\nLimitMSGQUEUE=5\nLimitNICE=+3\nLimitRTPRIO=6\nLimitRTTIME=7ms",
     {"limits": {"LOCKS": _limit(3), "SIGPENDING": _limit(4), "MSGQUEUE": _limit(5), "NICE": _limit(17),
                 "RTPRIO": _limit(6), "RTTIME": _limit(7000)}}),
    ("MemoryMax=1.5G\nMemoryHigh=50%\nMemoryLow=1M\nMemoryMin=0\nMemorySwapMax=0",
     {"resources": Resources(memory_max=Amount(value=3 << 29), memory_high=Amount(share=0.5),
                             memory_low=Amount(value=1 << 20), memory_min=Amount(value=0),
                             memory_swap_max=Amount(value=0))}),
    ("MemoryLimit=infinity\nTasksMax=10%", {"resources": Resources(memory_max=Amount(), tasks_max=Amount(share=0.1))}),
    ("CPUQuota=150%\nCPUQuotaPeriodSec=10ms\nCPUWeight=50\nTasksMax=7",
     {"resources": Resources(cpu_quota=1.5, cpu_quota_period_s=0.01, cpu_weight=50, tasks_max=Amount(value=7))}),
    ("CPUQuotaPeriodSec=1min\nCPUWeight=idle", {"resources": Resources(cpu_quota_period_s=1.0, cpu_weight="idle")}),
    ("OOMPolicy=continue", {"oom_policy": OomPolicy.CONTINUE}),
    ("[Unit]\nRequisite=a.service\nPartOf=b.service\nConflicts=c.service\nOnSuccess=d.service\nOnFailure=e@%i.service",
     {"requisite": ("a.service",), "part_of": ("b.service",), "conflicts": ("c.service",),
      "on_success": ("d.service",), "on_failure": ("e@1.service",)}),
    *((f"[Unit]\n{family}{kind}=|!/x", {"conditions": (
        Condition(kind=kind, parameter="/x", negated=True, alternative=True, is_assertion=family == "Assert"),)})
      for family in ("Condition", "Assert") for kind in KINDS),
    ("[Unit]\nConditionPathExists=/a\nAssertUser=b\nConditionHost=\nConditionCPUs=>=2",
     {"conditions": (Condition(kind="CPUs", parameter=">=2"),
                     Condition(kind="User", parameter="b", is_assertion=True))}),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), [pytest.param(*case, id=case[0].replace("\n", " | ")) for case in READ])
def test_reads(lines: str, expected: dict[str, Any]) -> None:
    wanted = {"exec_start": (TRUE,), **expected}
    assert read(lines) == ServiceSpec(name="felix@1.service", **wanted)


def test_every_honoured_directive_is_read() -> None:
    """A directive that the table calls honoured appears in a case above, so that something reads it."""
    cases = "ExecStart=\n" + "\n".join(lines for lines, _ in READ)
    honoured = [each.name for each in DIRECTIVES if each.standing is Standing.HONOURED]
    assert [name for name in honoured if f"{name}=" not in cases] == []


def test_every_field_is_read_from_something() -> None:
    read_fields = {"name"}.union(*(expected for _, expected in READ))
    assert {field.name for field in fields(ServiceSpec)} == read_fields


REFUSED = [
    ("Type=forking", "run the program in the foreground"),
    ("Type=dbus", "no message bus"),
    ("Type=idle", "use simple"),
    ("Type=oneshoot", r"no type of service \(known: simple, exec, oneshot, notify\)"),
    ("ExecStop=bin/a", "absolute path"),
    ("ExecStop=/bin/a %q", "unknown specifier"),
    ("ExecStop=/bin/a 'b", "not closed"),
    ("Restart=sometimes", "no kind of restart"),
    ("RestartSec=soon", "no time span"),
    ("TimeoutSec=-1", "no time span"),
    ("Environment=A", "no assignment"),
    ("EnvironmentFile=etc/a", "no absolute path"),
    ("WorkingDirectory=a", "no absolute path"),
    ("User=no such name", "no name or number"),
    ("UMask=rwx", "no octal mode"),
    ("StandardInput=tty", "there is no terminal"),
    ("StandardInput=keyboard", "no input that a service can have"),
    ("StandardInputData=x y", "no Base64"),
    ("StandardOutput=file:tmp/a", "no absolute path"),
    ("StandardOutput=fd:x", "no socket activation"),
    ("RuntimeDirectory=../a", "no directory's name"),
    ("RuntimeDirectory=/a", "no directory's name"),
    ("Nice=20", "whole number from -20 to 19"),
    ("CPUAffinity=3-1", "no processor's number"),
    ("IOSchedulingClass=fast", "no class"),
    ("UnsetEnvironment=1A", "no name of an environment variable"),
    ("MemoryMax=0", "nothing could run"),
    ("MemoryMax=101%", "more than the host has"),
    ("MemoryMax=much", "no size"),
    ("TasksMax=0%", "nothing could run"),
    ("CPUQuota=0%", "no share of a processor"),
    ("CPUQuota=0.5", "no share of a processor"),
    ("CPUWeight=0", "no weight"),
    ("OOMPolicy=panic", "no policy"),
    ("RestartPreventExitStatus=NOSUCH", "no signal"),
    ("StandardOutput=inherit", "nothing to inherit"),
    ("StandardOutput=syslog", "use journal"),
    ("KillMode=gently", "no kill mode"),
    ("KillSignal=SIGNOTHING", "no signal"),
    ("KillSignal=0", "no signal"),
    ("SendSIGKILL=maybe", "neither yes nor no"),
    ("SuccessExitStatus=256", "no exit status"),
    ("LimitCORE=50%", "no size"),
    ("LimitNOFILE=2:1", "soft limit is above"),
    ("LimitNOFILE=infinity:1", "soft limit is above"),
    ("StartLimitBurst=-1", "no whole number"),
    ("PIDFile=/run/a.pid", "refused: it belongs to Type=forking"),
    ("PrivateTmp=yes", "refused: there is no sandbox"),
    ("ExecStrt=/a", "did you mean ExecStart="),
    ("ExecStart=/bin/b", "several ExecStart= need Type=oneshot"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), [pytest.param(*case, id=case[0]) for case in REFUSED])
def test_refuses_with_the_line(line: str, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        read(line)
    assert caught.value.line == 3
    assert line.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("[Service]\nType=exec\n", None, "nothing to run", id="no ExecStart"),
        pytest.param("[Service]\nExecStart=/a\nExecStart=\n", None, "nothing to run", id="ExecStart forgotten again"),
        pytest.param("", None, "nothing to run", id="an empty unit"),
        pytest.param(
            "[Service]\nExecStart=/a\nType=oneshot\nRestart=always\n", 4, "contradicts", id="a oneshot for ever"
        ),
        pytest.param(
            "[Service]\nExecStart=/a\nType=notify\nNotifyAccess=none\n", 4, "contradicts", id="nobody may notify"
        ),
        pytest.param(
            "[Service]\nExecStart=/a\nWatchdogSec=1\nNotifyAccess=none\n", 4, "contradicts", id="a deaf watchdog"
        ),
        pytest.param("[Service]\nExecStart=/a\nType=oneshot\nRuntimeMaxSec=1\n", 4, "no effect", id="a oneshot's run"),
        pytest.param("[Unit]\nConflicts=felix@1.service\n[Service]\nExecStart=/a\n", 2, "itself", id="own enemy"),
        pytest.param("[Unit]\nConditionPathExists=a\n", 2, "no absolute path", id="a condition on a relative path"),
        pytest.param("[Unit]\nAssertHost=|!\n", 2, "asks for nothing", id="an empty assertion"),
        pytest.param("[Unit]\nAfter=a\n", 2, "no unit name", id="a dependency that is no unit"),
        pytest.param("[Unit]\nRequires=a@.service\n", 2, "template", id="a dependency on a template"),
    ],
)
def test_refuses_what_contradicts_itself(text: str, line: int | None, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        service_spec(parse(text), FELIX)
    assert caught.value.line == line


def test_a_oneshot_may_only_stop() -> None:
    spec = service_spec(parse("[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=/bin/true\n"), FELIX)
    assert spec.exec_start == ()
    assert spec.exec_stop == (TRUE,)


def test_a_oneshot_may_run_several_commands() -> None:
    spec = service_spec(parse("[Service]\nType=oneshot\nExecStart=/bin/true\nExecStart=/bin/true\n"), FELIX)
    assert spec.exec_start == (TRUE, TRUE)
