"""Units as people name them on a command line: `felix@1`, `units/felix@.container`, `felix@{1..4}`, `'felix@*'`.

`start`, `load` and `submit` look in the original's order: a unit submitted before, a file, a submitted template, the
template's file beside where the unit's file would be. A `.container` file holds the `.service` of its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from inaetics.errors import InvalidInput, NotFound
from inaetics.units.names import CONTAINER_SUFFIX, SUFFIXES, complete_name, expand_ranges, parse_name

FILE_SUFFIXES = (*SUFFIXES, CONTAINER_SUFFIX)
"""Also of types that the fleet does not run: whoever submits one is told so, not that there is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A unit file on this machine."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A unit submitted before; `differs` is the local file that says something else, if there is one."""

    name: str
    differs: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A unit to submit. `origin` says where its text is from, for people."""

    name: str
    text: str
    origin: str


def expand(arguments: Iterable[str]) -> list[str]:
    """Expand ranges and lists in braces, which shells do not do in quotes; each argument once, in order."""
    return list(dict.fromkeys(one for argument in arguments for one in expand_ranges(argument)))


def unit_name(argument: str) -> str:
    """The unit an argument means, be it a name or a path; raises `InvalidInput` for what is no unit's name."""
    last = argument.rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise _nameless(argument)
    name = complete_name(last)
    parse_name(name)
    return name


def _nameless(argument: str) -> InvalidInput:
    return InvalidInput(f"{argument!r} names no unit (write hello.service, or the path of a unit file)")


def select(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """The submitted units that `patterns` (names or globs) mean, each once, in order.

    Raises `NotFound` for the first pattern that means none.
    """
    known = sorted(names)
    chosen: dict[str, None] = {}
    for pattern in expand(patterns):
        chosen |= dict.fromkeys(_matching(pattern, known))
    return list(chosen)


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of `patterns` (names or globs) means `name`; without patterns everything does."""
    wholes = [complete_name(pattern) for pattern in expand(patterns)]
    return not wholes or any(fnmatchcase(name, whole) for whole in wholes)


def named(patterns: Iterable[str]) -> list[str]:
    """The units that `patterns` name one by one, not by a glob."""
    return [unit_name(pattern) for pattern in expand(patterns) if not is_glob(pattern)]


def is_glob(pattern: str) -> bool:
    """Whether `pattern` stands for whatever it matches, and not for one unit."""
    return bool(set(pattern) & set("*?["))


def _matching(pattern: str, known: Sequence[str]) -> list[str]:
    if not is_glob(pattern):
        name = unit_name(pattern)
        if name not in known:
            raise NotFound(f"unit {name!r} does not exist{_near(name, known)} (all units: fleetctl list-unit-files)")
        return [name]
    whole = complete_name(pattern)
    if found := [name for name in known if fnmatchcase(name, whole)]:
        return found
    raise NotFound(f"no unit matches {pattern!r} (all units: fleetctl list-unit-files)")


def _near(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    stems = {each.removesuffix(".service"): each for each in known}  # what all have in common makes nothing alike
    near = get_close_matches(name.removesuffix(".service"), stems, n=1)
    return f" (did you mean {stems[near[0]]!r}?)" if near else ""


def resolve(argument: str, stored: Mapping[str, str], read: Callable[[str], str]) -> Known | New:
    """Find the unit that `argument` means.

    `stored` maps the names of submitted units to the hashes of their files; `read` gives a submitted unit's text.
    Raises `NotFound` when nothing has that name.
    """
    name = unit_name(argument)
    parsed = parse_name(name)
    template = parsed.template if parsed.is_instance else None
    own = local_file(argument)
    beside = local_file(str(Path(argument).parent / template)) if template else None
    if name in stored:
        return Known(name=name, differs=_different(own or beside, stored[name]))
    if own:
        return New(name=name, text=own.text, origin=str(own.path))
    if template is not None and template in stored:
        return New(name=name, text=read(template), origin=f"the submitted template {template}")
    if beside:
        return New(name=name, text=beside.text, origin=str(beside.path))
    refuse_odd_file(argument)
    what = f"unit {name!r} or template {template!r}" if template else f"unit {name!r}"
    raise NotFound(f"no {what} is submitted, and {Path(argument).parent.resolve()} holds no file of that name")


def local_file(argument: str) -> LocalFile | None:
    """The file an argument means: as it is written, or with the suffix of a unit or container file.

    Raises `InvalidInput` for an argument that can mean no file, and for a file that cannot be read.
    """
    found = next((each for each in _candidates(argument) if each.is_file()), None)
    return LocalFile(path=found, text=read_text(found)) if found else None


def file_of(argument: str) -> LocalFile:
    """As `local_file`, where there has to be one; raises `InvalidInput` or `NotFound` that says what is there."""
    if found := local_file(argument):
        return found
    refuse_odd_file(argument)
    if Path(argument).is_file():
        raise InvalidInput(f"{argument!r} is no unit file: the fleet runs NAME.service and NAME.container files")
    raise NotFound(f"there is no unit file {argument!r} (an instance needs none: fleetctl start {argument})")


def refuse_odd_file(argument: str) -> None:
    """Raise `InvalidInput` when what `argument` means is there and is no file: a directory, a link to nothing."""
    for candidate in _candidates(argument):
        if os.path.lexists(candidate) and not candidate.is_file():
            raise InvalidInput(f"cannot read {candidate}: {_oddity(candidate)}")


def _oddity(path: Path) -> str:
    """What is there instead of a file."""
    try:
        return "it is a directory" if stat.S_ISDIR(path.stat().st_mode) else "it is no regular file"
    except OSError as error:
        return error.strerror or type(error).__name__


def _candidates(argument: str) -> list[Path]:
    path = Path(argument)
    if path.name in ("", ".."):
        raise _nameless(argument)
    if path.suffix == ".service":
        return [path, path.with_suffix(".container")]
    if path.suffix in FILE_SUFFIXES:
        return [path]
    return [path.with_name(path.name + end) for end in (".service", ".container")]


def read_text(path: Path) -> str:
    """The text of a unit file; raises `InvalidInput` that says why it cannot be read."""
    try:
        content = path.read_bytes()
        _refuse_large(path, len(content))
        return content.decode()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no unit file: byte {error.start} is not UTF-8 text") from error


def _refuse_large(path: Path, size: int) -> None:
    """Raise `InvalidInput` for what the API would refuse by its request's size, without its name."""
    if size < 64 * 1024:
        return  # no command that has a usual file need load the grammar
    from inaetics.units.grammar import MAX_TEXT_BYTES

    if size > MAX_TEXT_BYTES:
        raise InvalidInput(f"{path} is no unit file: it has {size} bytes, at most {MAX_TEXT_BYTES} are taken")


def content_hash(text: str) -> str:
    """The hash under which the fleet knows a file."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def _different(file: LocalFile | None, stored_hash: str) -> Path | None:
    return file.path if file and content_hash(file.text) != stored_hash else None
