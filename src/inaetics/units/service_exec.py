"""Reading what surrounds a service's process: environment, accounts, input and output, limits, directories."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable

from inaetics.errors import UnitFileError
from inaetics.units import values
from inaetics.units.execution import (
    Directory,
    DirectoryKind,
    FileOutput,
    Input,
    Limit,
    Output,
    Preserve,
    ProcessSettings,
)
from inaetics.units.quoting import split_words
from inaetics.units.service_model import EnvironmentFile, WorkingDirectory
from inaetics.units.service_reader import Reader, refusing, word

_OUTPUTS_REFUSED = {
    "inherit": "there is nothing to inherit; use journal",
    "syslog": "use journal",
    "kmsg": "use journal",
    "tty": "there is no terminal; use journal",
    "journal+console": "there is no console; use journal",
    "kmsg+console": "there is no console; use journal",
    "socket": "there is no socket activation; use journal",
}
_INPUTS_REFUSED = {
    "tty": "there is no terminal; use null",
    "tty-force": "there is no terminal; use null",
    "tty-fail": "there is no terminal; use null",
    "socket": "there is no socket activation; use null",
}
_LIMITS: dict[str, Callable[[str], int | None]] = {
    **dict.fromkeys(("FSIZE", "DATA", "STACK", "CORE", "RSS", "AS", "MEMLOCK", "MSGQUEUE"), values.size),
    **dict.fromkeys(("NOFILE", "NPROC", "LOCKS", "SIGPENDING", "RTPRIO"), values.count),
    "CPU": lambda text: _seconds(text),
    "RTTIME": lambda text: _microseconds(text),
    "NICE": lambda text: _nice_limit(text),
}
_IO_CLASSES = {"none": 0, "realtime": 1, "best-effort": 2, "idle": 3, **{str(number): number for number in range(4)}}
_CPU_POLICIES = {"other": 0, "fifo": 1, "rr": 2, "batch": 3, "idle": 5}
_DUMPED = {
    "private-anonymous": 0,
    "shared-anonymous": 1,
    "private-file-backed": 2,
    "shared-file-backed": 3,
    "elf-headers": 4,
    "private-huge": 5,
    "shared-huge": 6,
    "private-dax": 7,
    "shared-dax": 8,
}
_USUALLY_DUMPED = 0x33
_MOST_PROCESSORS = 8192
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# ---- environment


def environment(reader: Reader) -> dict[str, str]:
    """Environment=: the last assignment of a name counts."""

    def read(text: str) -> Iterable[tuple[str, str]]:
        assignments = values.environment_assignments(text)
        return [(name, reader.expanded(value)) for name, value in assignments.items()]

    return dict(reader.all(read, "Environment"))


def environment_files(reader: Reader) -> tuple[EnvironmentFile, ...]:
    """EnvironmentFile=, in the order written."""

    def read(text: str) -> Iterable[EnvironmentFile]:
        return [EnvironmentFile(path=reader.path(text.removeprefix("-")), optional=text.startswith("-"))]

    return reader.all(read, "EnvironmentFile")


def passed_environment(reader: Reader) -> tuple[str, ...]:
    """PassEnvironment=."""
    return reader.all(lambda text: [_variable(each) for each in split_words(text)], "PassEnvironment")


def unset_environment(reader: Reader) -> tuple[str, ...]:
    """UnsetEnvironment=: names, or assignments that go only when the value is this one."""

    def read(text: str) -> Iterable[str]:
        for each in split_words(text):
            name, equals, value = each.partition("=")
            yield _variable(name) + (f"={reader.expanded(value)}" if equals else "")

    return reader.all(lambda text: tuple(read(text)), "UnsetEnvironment")


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise UnitFileError(f"{name!r} is no name of an environment variable")
    return name


# ---- places and people


def working_directory(reader: Reader) -> WorkingDirectory | None:
    """WorkingDirectory=."""

    def read(text: str) -> WorkingDirectory | None:
        place = text.removeprefix("-")
        path = place if place == "~" else reader.path(place)
        return WorkingDirectory(path=path, optional=text.startswith("-"))

    return reader.one(None, read, "WorkingDirectory")


def supplementary_groups(reader: Reader) -> tuple[str, ...]:
    """SupplementaryGroups=."""
    return reader.all(lambda text: [reader.account(each) for each in split_words(text)], "SupplementaryGroups")


def directories(reader: Reader) -> tuple[Directory, ...]:
    """RuntimeDirectory= and the four others, with their modes."""
    preserve = reader.one(Preserve.NO, _preserve, "RuntimeDirectoryPreserve")
    found: list[Directory] = []
    for kind in DirectoryKind:
        mode = reader.one(0o755, values.octal, f"{kind}DirectoryMode")
        for path, link in reader.all(
            lambda text: [_place(reader, each) for each in split_words(text)], f"{kind}Directory"
        ):
            links = (link,) if link else ()
            found.append(Directory(kind=kind, path=path, links=links, mode=mode, preserve=preserve))
    return tuple(found)


def _preserve(text: str) -> Preserve:
    if text == Preserve.RESTART:
        return Preserve.RESTART
    return Preserve.YES if values.boolean(text) else Preserve.NO


def _place(reader: Reader, text: str) -> tuple[str, str]:
    path, _, link = text.partition(":")
    return _relative(reader.expanded(path)), _relative(reader.expanded(link)) if link else ""


def _relative(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if path.startswith("/") or not all(parts) or ".." in parts or "." in parts:
        raise UnitFileError(f"{path!r} is no directory's name below the host's own (no leading /, no ..)")
    return "/".join(parts)


# ---- input and output


def standard_input(reader: Reader) -> Input:
    """StandardInput=, and the data of StandardInputText= and StandardInputData=."""
    data = b"".join(_input_data(reader))
    usual = "data" if data else "null"
    said = reader.one(usual, refusing(_INPUTS_REFUSED, str), "StandardInput")
    if said == "data":
        return Input(data=data)
    if said.startswith("file:"):
        return reader.one(Input(), lambda text: Input(path=reader.path(text.removeprefix("file:"))), "StandardInput")
    reader.one("null", lambda text: values.one_of(text, ("null",), "input that a service can have"), "StandardInput")
    return Input()


def _input_data(reader: Reader) -> Iterable[bytes]:
    for option in reader.options("StandardInputText", "StandardInputData"):
        if option.name == "StandardInputText":
            yield reader.read(option, lambda text: _unescaped(reader.expanded(text)).encode() + b"\n")
        else:
            yield reader.read(option, _decoded)


def _unescaped(text: str) -> str:
    """Replace C escapes; quotes and blanks stay."""
    return "".join(split_words('"' + text.replace('"', '\\"') + '"'))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:  # not only binascii.Error: letters beyond ASCII have one of their own
        raise UnitFileError(f"{text[:40]!r} is no Base64") from error


def outputs(reader: Reader) -> tuple[Output | FileOutput, Output | FileOutput]:
    """StandardOutput= and StandardError=."""

    def error(text: str) -> Output | FileOutput:
        return output if text == "inherit" else _output(reader)(text)

    usual: Output | FileOutput = Output.JOURNAL
    output = reader.one(usual, _output(reader), "StandardOutput")
    return output, reader.one(output, error, "StandardError")


def _output(reader: Reader) -> Callable[[str], Output | FileOutput]:
    def read(text: str) -> Output | FileOutput:
        how, colon, path = text.partition(":")
        if colon and how == "file":
            return FileOutput(path=reader.path(path), how="file")
        if colon and how == "append":
            return FileOutput(path=reader.path(path), how="append")
        if colon and how == "truncate":
            return FileOutput(path=reader.path(path), how="truncate")
        if colon and how == "fd":
            raise UnitFileError(f"{text} is refused: there is no socket activation; use journal")
        return refusing(_OUTPUTS_REFUSED, word(Output, "output"))(text)

    return read


# ---- limits and scheduling


def limits(reader: Reader) -> dict[str, Limit]:
    """Limit…=, by the name of the resource."""
    found: dict[str, Limit] = {}
    for resource, read in _LIMITS.items():
        limit = reader.one(None, _limit(read), f"Limit{resource}")
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


def _seconds(text: str) -> int | None:
    span = values.time_span(text)
    return None if span == float("inf") else -int(-span // 1)


def _microseconds(text: str) -> int | None:
    if text.isdigit():
        return values.count(text)
    span = values.time_span(text)
    return None if span == float("inf") else round(span * 1e6)


def _nice_limit(text: str) -> int | None:
    """A nice level with its sign, or the kernel's own number, which is 20 minus that."""
    if re.fullmatch(r"[+-][0-9]{1,2}", text):
        return 20 - _nice(text)
    return values.count(text)


def process_settings(reader: Reader) -> ProcessSettings:
    """Nice= and the others that a process is given before it runs its program."""
    return ProcessSettings(
        nice=reader.one(None, _nice, "Nice"),
        oom_score_adjust=reader.one(None, _between(-1000, 1000), "OOMScoreAdjust"),
        io_class=reader.one(None, lambda text: _number_of(_IO_CLASSES, text, "class"), "IOSchedulingClass"),
        io_priority=reader.one(None, _between(0, 7), "IOSchedulingPriority"),
        cpu_policy=reader.one(None, lambda text: _number_of(_CPU_POLICIES, text, "policy"), "CPUSchedulingPolicy"),
        cpu_priority=reader.one(0, _between(0, 99), "CPUSchedulingPriority"),
        cpu_reset_on_fork=reader.one(False, values.boolean, "CPUSchedulingResetOnFork"),
        cpu_affinity=frozenset(reader.all(_processors, "CPUAffinity")),
        timer_slack_ns=reader.one(None, _nanoseconds, "TimerSlackNSec"),
        coredump_filter=reader.one(None, _dump_mask, "CoredumpFilter"),
        ignore_sigpipe=reader.one(True, values.boolean, "IgnoreSIGPIPE"),
        no_new_privileges=reader.one(False, values.boolean, "NoNewPrivileges"),
    )


def _nice(text: str) -> int:
    return _between(-20, 19)(text)


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,5}", text) or not least <= int(text) <= most:
            raise UnitFileError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return read


def _number_of(known: dict[str, int], text: str, what: str) -> int:
    return known[values.one_of(text, tuple(known), what)]


def _processors(text: str) -> Iterable[int]:
    for each in text.replace(",", " ").split():
        first, dash, last = each.partition("-")
        low = values.whole_number(first)
        high = values.whole_number(last) if dash else low
        if not low <= high < _MOST_PROCESSORS:
            raise UnitFileError(f"{each!r} is no processor's number or range (write 0-3)")
        yield from range(low, high + 1)


def _nanoseconds(text: str) -> int:
    if text.isdigit():
        return values.whole_number(text)
    if match := re.fullmatch(r"([0-9]{1,15})\s*(?:ns|nsec)", text):
        return int(match[1])
    span = values.time_span(text)
    if span == float("inf"):
        raise UnitFileError("a timer's slack cannot be infinite")
    return round(span * 1e9)


def _dump_mask(text: str) -> int:
    mask = 0
    for each in text.split():
        if each in ("default", "all"):
            mask |= _USUALLY_DUMPED if each == "default" else 0x1FF
        elif re.fullmatch(r"[0-9a-f]{1,8}", each):
            mask |= int(each, 16)
        else:
            mask |= 1 << _number_of(_DUMPED, each, "kind of memory")
    return mask
