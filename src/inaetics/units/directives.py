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
    "use Requires= or BindsTo=": "Requisite Upholds PartOf RequiresOverridable RequisiteOverridable BindTo",
    "use Conflicts= in [X-Fleet], which counts on every machine": "Conflicts",
    "no unit is started by the end of another; use Restart=": "OnFailure OnSuccess",
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
    "a skipped start would look like a success; choose machines with MachineMetadata= in [X-Fleet]": """
        ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsSymbolicLink
        ConditionPathIsMountPoint ConditionPathIsReadWrite ConditionDirectoryNotEmpty ConditionFileNotEmpty
        ConditionFileIsExecutable ConditionArchitecture ConditionVirtualization ConditionHost
        ConditionKernelCommandLine ConditionKernelVersion ConditionVersion ConditionSecurity ConditionCapability
        ConditionACPower ConditionNeedsUpdate ConditionFirstBoot ConditionUser ConditionGroup
        ConditionControlGroupController ConditionMemory ConditionCPUs ConditionCPUFeature ConditionOSRelease
        ConditionEnvironment ConditionCredential ConditionPathIsEncrypted ConditionFirmware ConditionMemoryPressure
        ConditionCPUPressure ConditionIOPressure ConditionKernelModuleLoaded
    """,
    "test in ExecStartPre= instead": """
        AssertPathExists AssertPathExistsGlob AssertPathIsDirectory AssertPathIsSymbolicLink AssertPathIsMountPoint
        AssertPathIsReadWrite AssertDirectoryNotEmpty AssertFileNotEmpty AssertFileIsExecutable AssertArchitecture
        AssertVirtualization AssertHost AssertKernelCommandLine AssertKernelVersion AssertSecurity AssertCapability
        AssertACPower AssertUser AssertGroup AssertMemory AssertPathIsEncrypted AssertNeedsUpdate AssertFirstBoot
        AssertCredential AssertCPUFeature AssertControlGroupController AssertOSRelease AssertMemoryPressure
        AssertCPUPressure AssertIOPressure AssertCPUs AssertEnvironment
    """,
}


_SERVICE_HONOURED: Notes = {
    "simple, exec, oneshot, notify; forking is refused (run the program in the foreground), so are dbus and idle": """
        Type
    """,
    "the program; several only with Type=oneshot; prefixes - @ :": "ExecStart",
    "any number, in order; prefixes - @ :": "ExecStartPre ExecStartPost ExecStop ExecStopPost ExecReload",
    "no, on-success, on-failure, on-abnormal, on-abort, always": "Restart",
    "pause before a restart (100 ms)": "RestartSec",
    "90 s, no limit on starting for Type=oneshot; 0 or infinity: none": "TimeoutStartSec TimeoutStopSec",
    "both of the above": "TimeoutSec",
    "assignments, quoted where they hold blanks; overrides the host's environment": "Environment",
    "absolute path, read at each start; with a - before it, it may be missing": "EnvironmentFile",
    "absolute path, or ~ for the user's home; with a - before it, it may be missing": "WorkingDirectory",
    "name or number; only a supervisor that runs as root can change them": "User Group",
    "octal (0022)": "UMask",
    "control-group, mixed, process, none": "KillMode",
    "the first signal on stopping (SIGTERM)": "KillSignal",
    "whether what is left after TimeoutStopSec= is killed (yes)": "SendSIGKILL",
    "whether the unit stays active after its processes ended well": "RemainAfterExit",
    "exit statuses and signals that count as success besides 0": "SuccessExitStatus",
    "none, main, exec, all: whose notifications count (main with Type=notify)": "NotifyAccess",
    "number, soft:hard or infinity (sizes for LimitCORE)": "LimitNOFILE LimitNPROC LimitCORE",
    "journal, null; inherit for the latter means as StandardOutput": "StandardOutput StandardError",
    "null, and nothing else": "StandardInput",
    "as in [Unit], where they belong today": "StartLimitInterval StartLimitBurst",
}

_SERVICE_IRRELEVANT: Notes = {
    "lines of the journal are filed by unit": """
        SyslogIdentifier SyslogFacility SyslogLevel SyslogLevelPrefix LogLevelMax LogExtraFields
    """,
    "the journal is bounded in size, not in rate": "LogRateLimitIntervalSec LogRateLimitBurst",
    "a hint on sharing a machine: results do not depend on it": """
        Nice IOSchedulingClass IOSchedulingPriority CPUSchedulingPolicy CPUSchedulingPriority CPUWeight
        StartupCPUWeight IOWeight StartupIOWeight CPUShares BlockIOWeight StartupBlockIOWeight StartupCPUShares
        OOMScoreAdjust Slice
    """,
    "what a host uses is measured anyway": """
        CPUAccounting MemoryAccounting TasksAccounting IOAccounting IPAccounting BlockIOAccounting
    """,
    "the supervisor leaves cgroups to its units": "Delegate",
    "only Type=forking guesses": "GuessMainPID",
    "no login is recorded": "UtmpIdentifier UtmpMode",
}

_SERVICE_REFUSED: Notes = {
    "it belongs to Type=forking; run the program in the foreground": "PIDFile",
    "it belongs to Type=dbus": "BusName",
    "there is no watchdog; let the program end when it cannot go on": "WatchdogSec WatchdogSignal",
    "use timeout(1) in ExecStart=": "RuntimeMaxSec RuntimeRandomizedExtraSec",
    "not part of the subset": """
        TimeoutAbortSec TimeoutStartFailureMode TimeoutStopFailureMode RestartMode RestartSteps RestartMaxDelaySec
        RestartPreventExitStatus RestartForceExitStatus RestartKillSignal FinalKillSignal SendSIGHUP ExecCondition
        OOMPolicy ExitType FileDescriptorStoreMax FileDescriptorStorePreserve Sockets OpenFile NonBlocking
        RootDirectoryStartOnly USBFunctionDescriptors USBFunctionStrings PermissionsStartOnly ReloadSignal
        ExecSearchPath
    """,
    "a unit never shuts its host down": "FailureAction StartLimitAction RebootArgument",
    "there is no terminal, and no input": """
        StandardInputText StandardInputData TTYPath TTYReset TTYVHangup TTYVTDisallocate TTYRows TTYColumns
    """,
    "the environment is the host's, then Environment= and EnvironmentFile=": "PassEnvironment UnsetEnvironment",
    "User= and Group= only": "SupplementaryGroups DynamicUser SetLoginEnvironment PAMName",
    "privileges of a process are not restricted; use a container": """
        CapabilityBoundingSet AmbientCapabilities NoNewPrivileges SecureBits SELinuxContext AppArmorProfile
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
    "no directory is made; do it in ExecStartPre=": """
        RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory RuntimeDirectoryMode
        StateDirectoryMode CacheDirectoryMode LogsDirectoryMode ConfigurationDirectoryMode RuntimeDirectoryPreserve
        TimeoutCleanSec
    """,
    "there is no store of credentials": """
        LoadCredential LoadCredentialEncrypted ImportCredential SetCredential SetCredentialEncrypted
    """,
    "each unit has a journal of its own": "LogNamespace LogFilterPatterns",
    "not among the limits that are set": """
        LimitCPU LimitFSIZE LimitDATA LimitSTACK LimitRSS LimitAS LimitMEMLOCK LimitLOCKS LimitSIGPENDING
        LimitMSGQUEUE LimitNICE LimitRTPRIO LimitRTTIME CPUAffinity NUMAPolicy NUMAMask CoredumpFilter TimerSlackNSec
        IgnoreSIGPIPE CPUSchedulingResetOnFork MemoryKSM
    """,
    "the supervisor has no cgroup of its own to limit; a container has Memory= and PidsLimit=": """
        MemoryMax TasksMax CPUQuota DefaultMemoryMin DefaultMemoryLow StartupAllowedMemoryNodes BlockIODeviceWeight
        BlockIOReadBandwidth BlockIOWriteBandwidth MemoryMin MemoryLow MemoryHigh MemorySwapMax MemoryZSwapMax
        MemoryLimit StartupMemoryMax CPUQuotaPeriodSec AllowedCPUs StartupAllowedCPUs AllowedMemoryNodes
        IOReadBandwidthMax IOWriteBandwidthMax IOReadIOPSMax IOWriteIOPSMax IODeviceWeight IODeviceLatencyTargetSec
        IPAddressAllow IPAddressDeny IPIngressFilterPath IPEgressFilterPath BPFProgram SocketBindAllow SocketBindDeny
        RestrictNetworkInterfaces DeviceAllow DevicePolicy DisableControllers ManagedOOMSwap ManagedOOMMemoryPressure
        ManagedOOMMemoryPressureLimit ManagedOOMPreference
    """,
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
