"""What a bundle says of itself: the ``bundle.json`` in its folder and its archive. Pure."""

from __future__ import annotations

import json
import re
from typing import Literal

import msgspec

from inaetics.errors import InvalidInput

MANIFEST = "bundle.json"

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){1,3}\Z")
_MODULE = re.compile(r"[a-zA-Z_]\w*(\.[a-zA-Z_]\w*)*\Z", re.ASCII)
PYTHON, OSGI = "python", "osgi"
LANGUAGES = {PYTHON: "python", OSGI: "java"}
"""The language of the agents that a bundle of a kind is for."""

_CAPABILITY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``bundle.json`` says. A person writes it: an unknown field is an error.

    `version` is two to four numbers (``1.0.0``). `entry` is the module, inside the package, that Pelix installs as the
    bundle; empty means the package itself. `requires` names bundles or capabilities that must be installed on the same
    agent; `provides` names capabilities this bundle adds, beside its own name, which it always provides. `exclusive`
    names those of them that no bundle beside it may provide: a port, a page's path, a factory's name. `kind` says what
    the archive holds: a package for Python agents, or an ``osgi`` bundle for Java agents, whose `entry` is its
    activator's class.
    """

    name: str
    version: str
    entry: str = ""
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    kind: Literal["python", "osgi"] = "python"

    @property
    def language(self) -> str:
        """Of the agents that can run it: python or java."""
        return LANGUAGES[self.kind]

    @property
    def key(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def name_and_version(self) -> str:
        """As mappings and their versions name it."""
        return f"{self.name}@{self.version}"


def version_order(version: str) -> tuple[int, ...]:
    """Sort key of a version: 1.10 comes after 1.9, and 1.0 equals 1.0.0."""
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (4 - len(numbers)))


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as an archive holds it; a kind is only named where it is not Python's, which older agents know."""
    fields = msgspec.to_builtins(manifest)
    if manifest.kind == PYTHON:
        del fields["kind"]
    return msgspec.json.format(msgspec.json.encode(fields), indent=2)


def read_manifest(data: bytes, *, source: str) -> Manifest:
    """Decode and check ``bundle.json``; `source` is what messages call it. Raises `InvalidInput`."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read the manifest of {source}: {_trouble(data) or error}") from error
    _check(_NAME, manifest.name, "name", "lower-case letters, digits and _, a letter first", source)
    _check(_VERSION, manifest.version, "version", "two to four numbers such as 1.0.0", source)
    if manifest.entry:
        _check(_MODULE, manifest.entry, "entry", "a module inside the bundle such as component", source)
    for capability in (*manifest.requires, *manifest.provides):
        _check(_CAPABILITY, capability, "capability", "letters, digits, '.', '_' and '-'", source)
    if strays := sorted({*manifest.exclusive} - {manifest.name, *manifest.provides}):
        raise InvalidInput(f"{source}: exclusive names {strays[0]!r}, which is not among what it provides")
    return manifest


def _trouble(data: bytes) -> str:
    """Why `data` is no JSON, and where; empty when it is some."""
    looks = f"(what a {MANIFEST} looks like: inaetics bundle init NAME)"
    if not data.strip():
        return f"it is empty {looks}"
    try:
        json.loads(data.decode())
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8 {looks}"
    except json.JSONDecodeError as error:
        cut = "; it ends too early" if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterm") else ""
        return f"line {error.lineno}, column {error.colno}: {error.msg}{cut} {looks}"
    except RecursionError:
        return f"it is nested too deep {looks}"
    return ""


def _check(pattern: re.Pattern[str], value: str, field: str, help_text: str, source: str) -> None:
    if not pattern.match(value):
        raise InvalidInput(f"{source}: {field} {value!r} is not valid: it takes {help_text}")
