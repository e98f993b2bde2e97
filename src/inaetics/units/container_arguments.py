"""The keys of `[Container]`: checking them, and writing them as arguments of a container engine's `run`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.units.container_keys import BY_NAME, KEYS, Form, Key
from inaetics.units.grammar import Option, UnitFile
from inaetics.units.names import Name
from inaetics.units.quoting import BLANKS, split_words
from inaetics.units.specifiers import ANYWHERE, Host, expand
from inaetics.units.values import boolean, environment_assignments, one_of
from inaetics.units.wording import at_option, nearest

SECTION = "Container"

_PORT_PIECE = r"(?:[0-9]|%[A-Za-z]|\$\{[A-Za-z0-9_]+\})+"
_PORTS = re.compile(rf"{_PORT_PIECE}(?:-{_PORT_PIECE})?")
_PUBLISHED = re.compile(r"(?:(\[[^\]]*\]|[^:\[\]]*):)?(?:([^:]*):)?([^:/]+)(?:/(tcp|udp|sctp))?")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9%$][A-Za-z0-9_.%@${}-]*")
_PULLS = {"newer": True, "always": True, "never": False}


_NAMED = Host(machine_id=ANYWHERE.machine_id, name=ANYWHERE.name)
"""What is known of the host where a container is looked for by its name, which others than its supervisor do."""


def check_keys(unit: UnitFile, name: Name) -> None:
    """Raise `UnitFileError` with the line for the first key that is unknown, refused or has a bad value."""
    for option in unit.options:
        if option.section == SECTION:
            _check_key(unit, option, name)
    if not unit.of(SECTION, "Image"):
        raise unit.error(f"[{SECTION}] has no Image=: there is nothing to run", None)
    published = unit.of(SECTION, "PublishPort")
    for network in unit.get_all(SECTION, "Network"):
        if published and network in ("host", "none"):
            message = f"[{SECTION}] PublishPort= contradicts Network={network}: there is no port to publish"
            raise unit.error(message, published[-1].line)


def flags(unit: UnitFile, publish_address: str) -> Iterator[str]:
    """The flags that keys become, one word each, not yet quoted. The keys must have passed `check_keys`."""
    for key in KEYS:
        if key.flag is None:
            continue
        texts = unit.get_all(SECTION, key.name)
        for text in texts[-1:] if key.form in (Form.ONE, Form.YES) else texts:
            if key.form is Form.YES:
                yield from _switch(key.flag, on=boolean(text))
            else:
                yield from (f"{key.flag}={value}" for value in _read(key, text, publish_address))


def words(unit: UnitFile, key: str) -> list[str]:
    """The words of a key that has its own place in the command line."""
    texts = unit.get_all(SECTION, key)
    form = BY_NAME[key].form
    return [word for text in (texts[-1:] if form is Form.ONE else texts) for word in split_words(text)]


def pulls(unit: UnitFile) -> bool:
    """Whether a start gets the image from a registry: not when told not to, nor for an image that no registry has."""
    wanted = _PULLS[unit.get(SECTION, "Pull") or "newer"]
    return wanted and not (unit.get(SECTION, "Image") or "").startswith("localhost/")


def notifies(unit: UnitFile) -> bool:
    """Whether the program in the container itself says when it is ready."""
    return boolean(unit.get(SECTION, "Notify") or "no")


def _switch(flag: str, *, on: bool) -> list[str]:
    """A flag that already holds a value (`--security-opt=…`) is left out; others are set to false."""
    if on:
        return [flag]
    return [] if "=" in flag else [f"{flag}=false"]


def _check_key(unit: UnitFile, option: Option, name: Name) -> None:
    key = BY_NAME.get(option.name)
    if key is None:
        hint = nearest(option.name, [key.name for key in KEYS if not key.refused])
        raise unit.error(f"[{SECTION}] has no key {option.name}={hint}", option.line)
    if key.refused:
        raise unit.error(f"[{SECTION}] {option.name}= is refused: {key.note}", option.line)
    if not option.value:
        return
    try:
        expand(option.value, name=name, host=_NAMED if key.name == "ContainerName" else ANYWHERE)
        _read(key, option.value, "127.0.0.1")
    except InvalidInput as error:
        raise at_option(unit, option, error) from error


def _read(key: Key, text: str, publish_address: str) -> list[str]:
    """The values in one assignment of a key, checked."""
    if key.name == "PublishPort":
        return [_published(text, publish_address)]
    if key.name in _CHECKS:
        _CHECKS[key.name](text)
    if key.form is Form.YES:
        return [str(boolean(text))]
    if key.form is Form.EACH_WORD:
        return list(split_words(text))
    if key.form is Form.ASSIGNMENTS:
        return [f"{name}={value}" for name, value in environment_assignments(text).items()]
    return [text]


def _published(text: str, publish_address: str) -> str:
    """`[[address:][host]:]container[/protocol]`, with the host's address where there is none."""
    match = _PUBLISHED.fullmatch(text)
    if match is None:
        raise UnitFileError(f"{text!r} is no port to publish (write 8080:80, address:8080:80 or 80, then maybe /udp)")
    first, second, inside, protocol = match.groups()
    address, host = (first, second) if second is not None else ("", first or "")
    for ports in (host, inside):
        if ports:
            _check_ports(ports, text)
    if not address:
        address = f"[{publish_address}]" if ":" in publish_address else publish_address
    return f"{address}:{host}:{inside}" + (f"/{protocol}" if protocol else "")


def _check_ports(ports: str, text: str) -> None:
    if not _PORTS.fullmatch(ports):
        raise UnitFileError(f"{text!r}: {ports!r} is neither a port nor a range of ports")
    for port in ports.split("-"):
        if port.isdigit() and not 1 <= int(port) <= 65535:
            raise UnitFileError(f"{text!r}: {port} is no port (1 to 65535)")


def _check_one_word(text: str) -> None:
    if text.startswith("-") or any(blank in text for blank in BLANKS):
        raise UnitFileError(f"{text!r} is not one name")


def _check_image(text: str) -> None:
    _check_one_word(text)
    if text.endswith((".image", ".build")):
        raise UnitFileError(f"{text!r} would be another unit, and no unit here is an image; write the image's name")


def _check_absolute(text: str) -> None:
    if not text.startswith(("/", "${")):
        raise UnitFileError(f"{text!r} is no absolute path")


def _check_volume(text: str) -> None:
    source, colon, rest = text.partition(":")
    if not colon:
        _check_absolute(source)
        return
    if source.endswith(".volume"):
        raise UnitFileError(f"{source!r} would be another unit, and no unit here is a volume; write a path or a name")
    if not source.startswith(("/", "${")) and not _VOLUME_NAME.fullmatch(source):
        raise UnitFileError(f"{source!r} is neither an absolute path nor a volume's name")
    _check_absolute(rest)


def _check_network(text: str) -> None:
    _check_one_word(text)
    if text.endswith((".network", ".container")):
        raise UnitFileError(f"{text!r} would be another unit, and no unit here is a network; write host or none")


def _check_notify(text: str) -> None:
    if text == "healthy":
        raise UnitFileError("healthy needs the engine's health checks, which need systemd's timers; write yes")


def _check_pull(text: str) -> None:
    if text == "missing":
        raise UnitFileError("missing is refused: a restart would keep an old image on some hosts only")
    one_of(text, tuple(_PULLS), "way to pull")


def _check_words(text: str) -> None:
    split_words(text)


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "ContainerName": _check_one_word,
    "EnvironmentFile": _check_absolute,
    "Exec": _check_words,
    "Image": _check_image,
    "Network": _check_network,
    "Notify": _check_notify,
    "Pull": _check_pull,
    "Volume": _check_volume,
}
