"""Ways to end, as SuccessExitStatus= and its like name them: numbers, signals, and the names of exit statuses.

The names and numbers are those that `systemd-analyze exit-status` of systemd 252 prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from signal import Signals

from inaetics.errors import UnitFileError
from inaetics.units import values
from inaetics.units.service_model import Ends
from inaetics.units.service_reader import Reader, signal_number

NAMES: Mapping[str, int] = {
    "SUCCESS": 0, "FAILURE": 1, "INVALIDARGUMENT": 2, "NOTIMPLEMENTED": 3, "NOPERMISSION": 4, "NOTINSTALLED": 5,
    "NOTCONFIGURED": 6, "NOTRUNNING": 7,
    "USAGE": 64, "DATAERR": 65, "NOINPUT": 66, "NOUSER": 67, "NOHOST": 68, "UNAVAILABLE": 69, "SOFTWARE": 70,
    "OSERR": 71, "OSFILE": 72, "CANTCREAT": 73, "IOERR": 74, "TEMPFAIL": 75, "PROTOCOL": 76, "NOPERM": 77,
    "CONFIG": 78,
    "CHDIR": 200, "NICE": 201, "FDS": 202, "EXEC": 203, "MEMORY": 204, "LIMITS": 205, "OOM_ADJUST": 206,
    "SIGNAL_MASK": 207, "STDIN": 208, "STDOUT": 209, "CHROOT": 210, "IOPRIO": 211, "TIMERSLACK": 212,
    "SECUREBITS": 213, "SETSCHEDULER": 214, "CPUAFFINITY": 215, "GROUP": 216, "USER": 217, "CAPABILITIES": 218,
    "CGROUP": 219, "SETSID": 220, "CONFIRM": 221, "STDERR": 222, "PAM": 224, "NETWORK": 225, "NAMESPACE": 226,
    "NO_NEW_PRIVILEGES": 227, "SECCOMP": 228, "SELINUX_CONTEXT": 229, "PERSONALITY": 230, "APPARMOR": 231,
    "ADDRESS_FAMILIES": 232, "RUNTIME_DIRECTORY": 233, "CHOWN": 235, "SMACK_PROCESS_LABEL": 236, "KEYRING": 237,
    "STATE_DIRECTORY": 238, "CACHE_DIRECTORY": 239, "LOGS_DIRECTORY": 240, "CONFIGURATION_DIRECTORY": 241,
    "NUMA_POLICY": 242, "CREDENTIALS": 243, "BPF": 244, "EXCEPTION": 255,
}  # fmt: skip


def read_ends(reader: Reader, *names: str) -> Ends:
    """What directives of this kind name, all together."""
    found = reader.all(_words, *names)
    return Ends(
        codes=frozenset(each for each in found if not isinstance(each, Signals)),
        signals=frozenset(each for each in found if isinstance(each, Signals)),
    )


def _words(text: str) -> Iterable[int | Signals]:
    return [_end(each) for each in text.split()]


def _end(word: str) -> int | Signals:
    if word in NAMES:
        return NAMES[word]
    if not word.isdigit():
        return signal_number(word)
    status = values.whole_number(word)
    if status > 255:
        raise UnitFileError(f"{word} is no exit status (0 to 255)")
    return status
