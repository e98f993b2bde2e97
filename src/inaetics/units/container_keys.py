"""The one table of `[Container]` keys: Quadlet's (podman-systemd.unit(5)), and what becomes of each here.

The reference page is generated from it, as for the directives of services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How often a key may be given, and how its value is read."""

    ONE = "one value; the last counts"
    EACH_LINE = "one value a line"
    EACH_WORD = "values separated by blanks"
    ASSIGNMENTS = "NAME=value, separated by blanks; quoted where the value has blanks"
    YES = "yes or no; the last counts"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of `[Container]`. `flag` is what it becomes in the engine's `run`; None: it has its own place there."""

    name: str
    form: Form
    flag: str | None
    note: str = ""
    refused: bool = False


def _flags(form: Form, flags: Mapping[str, str]) -> list[Key]:
    return [Key(name, form, flag) for name, flag in flags.items()]


def _refused(notes: Mapping[str, str]) -> list[Key]:
    return [Key(name, Form.ONE, None, note, refused=True) for note, names in notes.items() for name in names.split()]


_WITH_NOTES = [
    Key("Image", Form.ONE, None, "needed; `${INAETICS_REGISTRY}/inaetics/felix-agent:latest`"),
    Key("ContainerName", Form.ONE, None, "unless given, `%p-%i` for an instance and `systemd-%N` for others"),
    Key("Exec", Form.ONE, None, "arguments for the image's entry point, or the program where it has none"),
    Key("Pull", Form.ONE, None, "`newer` (default) or `always`: the image is got when the host lacks it; `never`"),
    Key("Notify", Form.YES, None, "`yes`: the program says when it is ready; `no`: it is ready once it runs"),
    Key("PodmanArgs", Form.EACH_WORD, None, "further arguments of `run`"),
    Key("GlobalArgs", Form.EACH_WORD, None, "further arguments before `run`"),
    Key("Environment", Form.ASSIGNMENTS, "--env", "`${X}` in a value is replaced from the host's environment"),
    Key("EnvironmentFile", Form.EACH_LINE, "--env-file", "an absolute path"),
    Key("Label", Form.EACH_WORD, "--label", "`name=value`"),
    Key("Annotation", Form.EACH_WORD, "--annotation", "`name=value`"),
    Key(
        "PublishPort", Form.EACH_LINE, "--publish", "`[address:][host]:container[/udp]`; the host's own address if none"
    ),
    Key("Volume", Form.EACH_LINE, "--volume", "`/path/or/name:/path/inside[:options]`; `.volume` units are not known"),
    Key("Network", Form.EACH_LINE, "--network", "`host`, `none` or a network of the engine; no `.network` units"),
]

_ONE = {
    "EntryPoint": "--entrypoint",
    "Entrypoint": "--entrypoint",
    "WorkingDir": "--workdir",
    "User": "--user",
    "UserNS": "--userns",
    "HostName": "--hostname",
    "IP": "--ip",
    "IP6": "--ip6",
    "Memory": "--memory",
    "PidsLimit": "--pids-limit",
    "ShmSize": "--shm-size",
    "StopSignal": "--stop-signal",
    "StopTimeout": "--stop-timeout",
    "Timezone": "--tz",
}

_EACH_LINE = {
    "AddHost": "--add-host",
    "DNS": "--dns",
    "DNSOption": "--dns-option",
    "DNSSearch": "--dns-search",
    "GIDMap": "--gidmap",
    "GroupAdd": "--group-add",
    "Mount": "--mount",
    "NetworkAlias": "--network-alias",
    "Tmpfs": "--tmpfs",
    "UIDMap": "--uidmap",
    "Ulimit": "--ulimit",
}

_EACH_WORD = {
    "AddCapability": "--cap-add",
    "AddDevice": "--device",
    "DropCapability": "--cap-drop",
    "Sysctl": "--sysctl",
}

_YES = {
    "EnvironmentHost": "--env-host",
    "NoNewPrivileges": "--security-opt=no-new-privileges",
    "ReadOnly": "--read-only",
    "ReadOnlyTmpfs": "--read-only-tmpfs",
    "RunInit": "--init",
    "SecurityLabelDisable": "--security-opt=label=disable",
}

_REFUSALS = {
    "the fleet keeps no secrets; mount a file with Volume=": "Secret",
    "pods are not units; use Network=host, and MachineOf= in [X-Fleet]": "Pod StartWithPod",
    "name an image with Image=": "Rootfs",
    "a unit keeps the image it runs until inaetics image update, which is gated on health": "AutoUpdate",
    "lines go to the unit's journal": "LogDriver LogOpt",
    "the host decides how containers are limited": "CgroupsMode ContainersConfModule",
    "the engine's health checks need systemd's timers; let the program end when it cannot go on": """
        HealthCmd HealthInterval HealthOnFailure HealthRetries HealthStartPeriod HealthTimeout HealthLogDestination
        HealthMaxLogCount HealthMaxLogSize HealthStartupCmd HealthStartupInterval HealthStartupRetries
        HealthStartupSuccess HealthStartupTimeout
    """,
    "use PublishPort=": "ExposeHostPort",
    "use User=uid:gid": "Group",
    "use PodmanArgs=, where the host's engine knows it": """
        SeccompProfile SecurityLabelType SecurityLabelLevel SecurityLabelFileType SecurityLabelNested Mask Unmask
        SubUIDMap SubGIDMap RemapUid RemapGid RemapUsers RemapUidSize ReloadCmd ReloadSignal
    """,
    "the image is pulled once at each start, and a restart tries again": "Retry RetryDelay",
    "use Tmpfs=": "VolatileTmp",
}

KEYS: tuple[Key, ...] = (
    *_WITH_NOTES,
    *_flags(Form.ONE, _ONE),
    *_flags(Form.EACH_LINE, _EACH_LINE),
    *_flags(Form.EACH_WORD, _EACH_WORD),
    *_flags(Form.YES, _YES),
    *_refused(_REFUSALS),
)

BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}
