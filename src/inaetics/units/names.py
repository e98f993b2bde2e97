"""Names of units: `prefix.type`, templates `prefix@.type` and their instances `prefix@instance.type`.

Promises: `str(parse_name(text)) == text`. A `.container` file is how somebody writes a service; no unit has that
name, so it is a file's name only (`unit_name_of_file`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

from inaetics.errors import InvalidInput
from inaetics.override import override

SUFFIXES = (".service", ".socket", ".timer", ".path", ".target")
CONTAINER_SUFFIX = ".container"
FOREIGN_SUFFIXES = (".mount", ".automount", ".swap", ".slice", ".scope", ".device", ".snapshot", ".busname")
"""systemd's other types: no name is completed to a service of such a name, and nothing here runs them."""

MAX_NAME_CHARS = 255
"""systemd's UNIT_NAME_MAX: a name is also a file's name."""

MAX_EXPANDED = 10_000
"""More names than this from one `{1..N}` is a slip of the pen."""

_PREFIX = re.compile(r"[A-Za-z0-9:_.\\-]+")
_INSTANCE = re.compile(r"[A-Za-z0-9:_.\\@-]*")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A unit's name in its parts. `instance` is None for a plain unit and empty for a template."""

    prefix: str
    instance: str | None
    suffix: str

    @override
    def __str__(self) -> str:
        return self.stem + self.suffix

    @property
    def stem(self) -> str:
        """The name without its type: `felix@1`."""
        return self.prefix if self.instance is None else f"{self.prefix}@{self.instance}"

    @property
    def is_template(self) -> bool:
        """Whether this is `felix@.service`, which never runs itself."""
        return self.instance == ""

    @property
    def is_instance(self) -> bool:
        """Whether this is `felix@1.service`."""
        return bool(self.instance)

    @property
    def template(self) -> str:
        """The name of the template: `felix@.service` for each of its instances and for itself.

        A plain unit has none; asking for it is a mistake of the program.
        """
        if self.instance is None:
            raise ValueError(f"{self} has no template")
        return f"{self.prefix}@{self.suffix}"

    def with_instance(self, instance: str) -> Name:
        """The instance of this template (or a sibling of this instance)."""
        return parse_name(f"{self.prefix}@{instance}{self.suffix}")


def parse_name(text: str) -> Name:
    """Read a unit's name. Raises `InvalidInput` that says what is wrong with it."""
    suffix = next((suffix for suffix in SUFFIXES if text.endswith(suffix)), None)
    if suffix is None:
        raise InvalidInput(f"{text!r} is no unit name: {_suffix_help(text)}")
    if len(text) > MAX_NAME_CHARS:
        raise InvalidInput(f"{text[:40]!r}... is no unit name: {len(text)} characters, at most {MAX_NAME_CHARS}")
    prefix, at, instance = text.removesuffix(suffix).partition("@")
    if not _PREFIX.fullmatch(prefix) or not _INSTANCE.fullmatch(instance):
        raise InvalidInput(
            f"{text!r} is no unit name: {_oddity(prefix, instance)}"
            "use letters, digits, and : _ . - \\ with one @ before an instance"
        )
    return Name(prefix, instance if at else None, suffix)


def complete_name(text: str) -> str:
    """What people may leave out: `felix@1` is `felix@1.service`, and so is `felix@1.container`."""
    if text.endswith(CONTAINER_SUFFIX):
        return text.removesuffix(CONTAINER_SUFFIX) + ".service"
    return text if text.endswith((*SUFFIXES, *FOREIGN_SUFFIXES)) else text + ".service"


def unit_name_of_file(filename: str) -> str:
    """The name of the unit a file holds: `felix@.container` holds `felix@.service`. Folders are ignored.

    Raises `InvalidInput` when the file's name is none of a unit.
    """
    base = filename.rpartition("/")[2]
    if base.endswith(CONTAINER_SUFFIX):
        base = base.removesuffix(CONTAINER_SUFFIX) + ".service"
    return str(parse_name(base))


def expand_ranges(text: str) -> tuple[str, ...]:
    """Expand `felix@{1..4}` and `{felix,celix}@1`, as a shell does; several braces give every combination.

    Raises `InvalidInput` for braces that hold neither, and for more than `MAX_EXPANDED` names.
    """
    pieces = _BRACES.split(text)
    if any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise InvalidInput(f"{text!r}: a brace is not closed (write felix@{{1..4}} or felix@{{1,3}})")
    choices = [(piece,) if index % 2 == 0 else _choices(piece, text) for index, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MAX_EXPANDED:
        raise InvalidInput(f"{text!r} stands for {count} names, at most {MAX_EXPANDED} at once")
    return tuple("".join(parts) for parts in product(*choices))


def _choices(piece: str, text: str) -> tuple[str, ...]:
    if match := _RANGE.fullmatch(piece):
        return _numbers(match[1], match[2], text)
    if "," in piece:
        return tuple(piece.split(","))
    raise InvalidInput(f"{text!r}: '{{{piece}}}' is neither a range nor a list (write {{1..4}} or {{1,3}})")


def _numbers(first: str, last: str, text: str) -> tuple[str, ...]:
    padded = any(number.startswith("0") and len(number) > 1 for number in (first, last))
    width = max(len(first), len(last)) if padded else 0
    if max(len(first), len(last)) > MAX_NAME_CHARS or abs(int(last) - int(first)) >= MAX_EXPANDED:
        raise InvalidInput(f"{text!r} stands for too many names, at most {MAX_EXPANDED} at once")
    step = 1 if int(first) <= int(last) else -1
    return tuple(f"{number:0{width}d}" for number in range(int(first), int(last) + step, step))


def _oddity(prefix: str, instance: str) -> str:
    """The first character that no name has."""
    odd = next((each for each in prefix + instance if not _INSTANCE.fullmatch(each)), None)
    return "" if odd is None else f"{odd!r} (U+{ord(odd):04X}) may not stand in one; "


def _suffix_help(text: str) -> str:
    if text.endswith(CONTAINER_SUFFIX):
        return f"the unit of a container file is {text.removesuffix(CONTAINER_SUFFIX)}.service"
    if text.endswith(FOREIGN_SUFFIXES):
        return f"the fleet runs services and containers, and no {text[text.rindex('.') :]} units"
    return f"it must end in one of {' '.join(SUFFIXES)}"
