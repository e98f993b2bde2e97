"""The one table of systemd's directives: which of them mean something here.

`honoured`: the embedded supervisor does as systemd would. `irrelevant`: accepted and without effect, because nothing a
unit may count on depends on it; the note says why. `refused`: the unit would run otherwise than its file says, so it
is an error that gives the note. What is not in the table is unknown, and an error too.

The reference page is generated from this table (`python -m inaetics.units.directives_table`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What becomes of a directive."""

    HONOURED = "honoured"
    IRRELEVANT = "irrelevant"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive of a section; `note` says what is understood, or why not."""

    section: str
    name: str
    standing: Standing
    note: str


Notes = Mapping[str, str]
"""A note, and the names of the directives it is about."""


def _group(section: str, standing: Standing, notes: Notes) -> Iterator[Directive]:
    for note, names in notes.items():
        for name in names.split():
            yield Directive(section, name, standing, note)


_UNIT_HONOURED: Notes = {
    "what the unit is, for people": "Description",
    "starts those units too, and stops with them; they must be on the same host": "Requires",
    "starts those units too, without needing them": "Wants",
    "as Requires=, and stops whenever one of them stops for whatever reason": "BindsTo",
    "as Requires=, but the units must run already: they are not started": "Requisite",
    "stopped and restarted together with those units": "PartOf",
    "stops those units of the same host when it starts, and is stopped when they start; [X-Fleet] Conflicts= keeps "
    "units apart on every machine": "Conflicts",
    "started when the unit ends well, or fails for good": "OnSuccess OnFailure",
    "asked at each start; `!` before it: must not hold, `|`: one of those must; a start that is left out is "
    "`inactive`, and its journal says which one did not hold": """
        ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsSymbolicLink
        ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionDirectoryNotEmpty ConditionFileNotEmpty
        ConditionFileIsExecutable ConditionHost ConditionArchitecture ConditionKernelCommandLine ConditionMemory
        ConditionCPUs ConditionEnvironment ConditionUser ConditionGroup
    """,
    "as the conditions, but the start fails (result `assert`)": """
        AssertPathExists AssertPathExistsGlob AssertPathIsDirectory AssertPathIsSymbolicLink AssertPathIsMountPoint
        AssertPathIsReadWrite AssertDirectoryNotEmpty AssertFileNotEmpty AssertFileIsExecutable AssertHost
        AssertArchitecture AssertKernelCommandLine AssertMemory AssertCPUs AssertEnvironment AssertUser AssertGroup
    """,
    "order of starting, and the reverse for stopping": "After Before",
    "how many starts in what time before the unit is given up (5 in 10 s)": "StartLimitIntervalSec StartLimitBurst",
    "old spelling of StartLimitIntervalSec=": "StartLimitInterval",
}

_UNIT_IRRELEVANT: Notes = {
    "for readers of the file": "Documentation SourcePath",
    "there are no implicit dependencies to switch off": "DefaultDependencies",
    "nothing is ever isolated here": "IgnoreOnIsolate",
    "a unit is forgotten when the fleet withdraws it, and not before": "CollectMode",
}

_UNIT_REFUSED: Notes = {
    "use Requires= or BindsTo=": "Upholds RequiresOverridable RequisiteOverridable BindTo",
    "jobs are not passed on": """
        PropagatesReloadTo ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom PropagateReloadTo
        PropagateReloadFrom
    """,
    "units share no namespaces": "JoinsNamespaceOf",
    "there are no mount units": "RequiresMountsFor WantsMountsFor",
    "jobs are bounded by TimeoutStartSec= and TimeoutStopSec=": """
        JobTimeoutSec JobRunningTimeoutSec JobTimeoutAction JobTimeoutRebootArgument OnFailureJobMode OnSuccessJobMode
        OnFailureIsolate
    """,
    "the fleet alone decides what starts and stops": """
        StopWhenUnneeded RefuseManualStart RefuseManualStop AllowIsolate SurviveFinalKillSignal
    """,
    "a unit never shuts its host down": """
        FailureAction SuccessAction FailureActionExitStatus SuccessActionExitStatus RebootArgument StartLimitAction
    """,
    "not asked here; choose machines with MachineMetadata= in [X-Fleet], or test in ExecCondition=": """
        ConditionVirtualization ConditionKernelVersion ConditionVersion ConditionSecurity ConditionCapability
        ConditionACPower ConditionNeedsUpdate ConditionFirstBoot ConditionControlGroupController
        ConditionCPUFeature ConditionOSRelease ConditionCredential ConditionPathIsEncrypted ConditionFirmware
        ConditionMemoryPressure ConditionCPUPressure ConditionIOPressure ConditionKernelModuleLoaded
        AssertVirtualization AssertKernelVersion AssertSecurity AssertCapability AssertACPower
        AssertNeedsUpdate AssertFirstBoot AssertControlGroupController AssertCPUFeature AssertOSRelease
        AssertCredential AssertPathIsEncrypted AssertMemoryPressure AssertCPUPressure AssertIOPressure
    """,
}


_SERVICE_HONOURED: Notes = {
    "simple, exec, oneshot, notify; forking is refused (run the program in the foreground), so are dbus and idle": """
        Type
    """,
    "the program; several only with Type=oneshot; prefixes - @ :": "ExecStart",
    "status 0: go on; 1 to 254: the start is left out; else it fails (result `exec-condition`)": "ExecCondition",
    "any number, in order; prefixes - @ :": "ExecStartPre ExecStartPost ExecStop ExecStopPost ExecReload",
    "no, on-success, on-failure, on-abnormal, on-watchdog, on-abort, always": "Restart",
    "pause before a restart (100 ms)": "RestartSec",
    "90 s, no limit on starting for Type=oneshot; 0 or infinity: none": "TimeoutStartSec TimeoutStopSec",
    "both of the above": "TimeoutSec",
    "assignments, quoted where they hold blanks; overrides the host's environment": "Environment",
    "absolute path, read at each start; with a - before it, it may be missing": "EnvironmentFile",
    "absolute path, or ~ for the user's home; with a - before it, it may be missing": "WorkingDirectory",
    "names or numbers; only a supervisor that runs as root can change them": "User Group SupplementaryGroups",
    "names of variables of the supervisor's own environment that are passed on": "PassEnvironment",
    "names or assignments that are taken out again, last of all": "UnsetEnvironment",
    "octal (0022)": "UMask",
    "control-group, mixed, process, none": "KillMode",
    "the first signal on stopping (SIGTERM)": "KillSignal",
    "in place of KillSignal= when the unit is stopped to be started again": "RestartKillSignal",
    "the last signal (SIGKILL)": "FinalKillSignal",
    "whether what is left after TimeoutStopSec= is killed (yes)": "SendSIGKILL",
    "whether SIGHUP follows the first signal (no)": "SendSIGHUP",
    "whether the unit stays active after its processes ended well": "RemainAfterExit",
    "exit statuses (numbers or names, such as TEMPFAIL) and signals that count as success besides 0": """
        SuccessExitStatus
    """,
    "ends of the main process after which it is never, or always, started again": """
        RestartPreventExitStatus RestartForceExitStatus
    """,
    "how long the unit may run once it is up": "RuntimeMaxSec",
    "how long it may be silent; WATCHDOG_USEC is set, WATCHDOG=1 counts": "WatchdogSec",
    "what a silent unit is sent (SIGABRT), and how long it may take to end": "WatchdogSignal TimeoutAbortSec",
    "terminate, abort (with WatchdogSignal=), kill": "TimeoutStartFailureMode TimeoutStopFailureMode",
    "what follows when the kernel kills a process for want of memory: stop (default), kill, continue": "OOMPolicy",
    "none, main, exec, all: whose notifications count (main with Type=notify)": "NotifyAccess",
    "number, size or time span; soft:hard; infinity": """
        LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitCORE LimitRSS LimitNOFILE LimitAS LimitNPROC LimitMEMLOCK
        LimitLOCKS LimitSIGPENDING LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME
    """,
    "memory of all processes together: a size, a share of the host's (50%) or infinity; needs the cgroup controller "
    "`memory`": "MemoryMax",
    "old spelling of MemoryMax=": "MemoryLimit",
    "memory above which it is slowed down; memory that is protected; swap: cgroup v2 only (swap also with v1 and "
    "MemoryMax=)": "MemoryHigh MemoryLow MemoryMin MemorySwapMax",
    "processor time, in percent of one processor (150%); needs the cgroup controller `cpu`": "CPUQuota",
    "the time in which the quota counts (100 ms; 1 ms to 1 s)": "CPUQuotaPeriodSec",
    "1 to 10000 (100), or idle: its share where units of one host compete": "CPUWeight",
    "processes and threads together: a number, a share of what the kernel takes, or infinity; needs the cgroup "
    "controller `pids`": "TasksMax",
    "-20 to 19; raising it needs rights": "Nice",
    "-1000 to 1000; lowering it needs rights": "OOMScoreAdjust",
    "none, realtime, best-effort, idle": "IOSchedulingClass",
    "0 to 7": "IOSchedulingPriority",
    "other, batch, idle, fifo, rr": "CPUSchedulingPolicy",
    "for fifo and rr": "CPUSchedulingPriority",
    "whether children lose it": "CPUSchedulingResetOnFork",
    "numbers and ranges: 0 2-3": "CPUAffinity",
    "nanoseconds, or a time span": "TimerSlackNSec",
    "names or bits in hexadecimal": "CoredumpFilter",
    "whether SIGPIPE is ignored (yes)": "IgnoreSIGPIPE",
    "whether no right can be gained by running a program (no)": "NoNewPrivileges",
    "directories made before each start, below places that each host has for itself; RUNTIME_DIRECTORY and its like "
    "name them": "RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory",
    "octal (0755)": """
        RuntimeDirectoryMode StateDirectoryMode CacheDirectoryMode LogsDirectoryMode ConfigurationDirectoryMode
    """,
    "no, restart, yes: whether they outlive a stop": "RuntimeDirectoryPreserve",
    "journal, null, file:/path, append:/path, truncate:/path; inherit for the latter means as StandardOutput=": """
        StandardOutput StandardError
    """,
    "null, file:/path, data": "StandardInput",
    "a line of text, or Base64: what StandardInput=data reads": "StandardInputText StandardInputData",
    "as in [Unit], where they belong today": "StartLimitInterval StartLimitBurst",
}

_SERVICE_IRRELEVANT: Notes = {
    "lines of the journal are filed by unit": """
        SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix LogLevelMax LogExtraFields
    """,
    "the journal is bounded in size, not in rate": "LogRateLimitIntervalSec LogRateLimitBurst",
    "a hint on sharing a machine: results do not depend on it": """
        StartupCPUWeight IOWeight StartupIOWeight CPUShares BlockIOWeight StartupBlockIOWeight StartupCPUShares
        Slice ManagedOOMSwap ManagedOOMMemoryPressure ManagedOOMMemoryPressureLimit ManagedOOMPreference
    """,
    "what a host uses is measured anyway": """
        CPUAccounting MemoryAccounting TasksAccounting IOAccounting IPAccounting BlockIOAccounting
    """,
    "a unit may divide its own cgroup; the supervisor looks only for processes in there": "Delegate",
    "only Type=forking guesses": "GuessMainPID",
    "no login is recorded": "UtmpIdentifier UtmpMode",
}

_SERVICE_REFUSED: Notes = {
    "it belongs to Type=forking; run the program in the foreground": "PIDFile",
    "it belongs to Type=dbus": "BusName",
    "RuntimeMaxSec= is exact": "RuntimeRandomizedExtraSec",
    "not part of the subset": """
        RestartMode RestartSteps RestartMaxDelaySec ExitType
        FileDescriptorStoreMax FileDescriptorStorePreserve Sockets OpenFile NonBlocking
        RootDirectoryStartOnly USBFunctionDescriptors USBFunctionStrings PermissionsStartOnly ReloadSignal
        ExecSearchPath
    """,
    "a unit never shuts its host down": "FailureAction StartLimitAction RebootArgument",
    "there is no terminal": """
        TTYPath TTYReset TTYVHangup TTYVTDisallocate TTYRows TTYColumns
    """,
    "User=, Group= and SupplementaryGroups= only": "DynamicUser SetLoginEnvironment PAMName",
    "privileges of a process are not restricted; use a container": """
        CapabilityBoundingSet AmbientCapabilities SecureBits SELinuxContext AppArmorProfile
        SmackProcessLabel
    """,
    "there is no sandbox around a service; use a container": """
        RootDirectory RootImage RootImageOptions RootHash RootVerity MountAPIVFS BindPaths BindReadOnlyPaths
        MountImages ExtensionImages ExtensionDirectories ProtectProc ProcSubset ProtectSystem ProtectHome
        ReadWritePaths ReadOnlyPaths InaccessiblePaths ExecPaths NoExecPaths TemporaryFileSystem PrivateTmp
        PrivateDevices PrivateNetwork NetworkNamespacePath PrivateIPC IPCNamespacePath PrivateUsers PrivateMounts
        PrivatePIDs ProtectHostname ProtectClock ProtectKernelTunables ProtectKernelModules ProtectKernelLogs
        ProtectControlGroups RestrictAddressFamilies RestrictFileSystems RestrictNamespaces LockPersonality
        MemoryDenyWriteExecute ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories RootHashSignature
        RestrictRealtime RestrictSUIDSGID RemoveIPC MountFlags SystemCallFilter SystemCallErrorNumber
        SystemCallArchitectures SystemCallLog Personality KeyringMode
    """,
    "nothing is cleaned by command": "TimeoutCleanSec",
    "there is no store of credentials": """
        LoadCredential LoadCredentialEncrypted ImportCredential SetCredential SetCredentialEncrypted
    """,
    "each unit has a journal of its own": "LogNamespace LogFilterPatterns",
    "use CPUAffinity=": "AllowedCPUs StartupAllowedCPUs",
    "memory is not bound to nodes, nor merged": """
        NUMAPolicy NUMAMask MemoryKSM AllowedMemoryNodes StartupAllowedMemoryNodes
    """,
    "use MemoryMax=, MemoryHigh= and MemorySwapMax=": """
        DefaultMemoryMin DefaultMemoryLow MemoryZSwapMax StartupMemoryMax
    """,
    "input and output are not limited": """
        IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax IODeviceWeight IODeviceLatencyTargetSec
        BlockIODeviceWeight BlockIOReadBandwidth BlockIOWriteBandwidth
    """,
    "networks and devices are not filtered; use a container": """
        IPAddressAllow IPAddressDeny IPIngressFilterPath IPEgressFilterPath BPFProgram SocketBindAllow SocketBindDeny
        RestrictNetworkInterfaces DeviceAllow DevicePolicy
    """,
    "controllers are used as a unit's directives ask": "DisableControllers",
}


_INSTALL_IRRELEVANT: Notes = {
    "nothing is enabled: what the fleet launches, runs": "WantedBy RequiredBy UpheldBy Also Alias DefaultInstance",
}

DIRECTIVES: tuple[Directive, ...] = (
    *_group("Unit", Standing.HONOURED, _UNIT_HONOURED),
    *_group("Unit", Standing.IRRELEVANT, _UNIT_IRRELEVANT),
    *_group("Unit", Standing.REFUSED, _UNIT_REFUSED),
    *_group("Service", Standing.HONOURED, _SERVICE_HONOURED),
    *_group("Service", Standing.IRRELEVANT, _SERVICE_IRRELEVANT),
    *_group("Service", Standing.REFUSED, _SERVICE_REFUSED),
    *_group("Install", Standing.IRRELEVANT, _INSTALL_IRRELEVANT),
)

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(directive.section for directive in DIRECTIVES))

BY_NAME: Mapping[tuple[str, str], Directive] = {(each.section, each.name): each for each in DIRECTIVES}
