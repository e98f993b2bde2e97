"""`[Container]` units become services, as Podman's Quadlet does it.

Promises: the generated `ExecStart=` splits into exactly the arguments meant here, whatever they contain; nothing of
the original is lost (`[Container]` stays as `[X-Container]`, which supervisors ignore); each generated directive
carries the line of the image, and each kept one its own, so that errors point at what a person wrote.

`${NAME}` in a value is a variable of the host's environment, replaced by the supervisor at each start; `%i` and the
other specifiers work everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from inaetics.units.container_arguments import SECTION, check_keys, flags, notifies, pulls, words
from inaetics.units.container_engine import ContainerEngine as ContainerEngine
from inaetics.units.container_limits import PASSED_ON, limit_flags
from inaetics.units.grammar import Option, UnitFile, from_options
from inaetics.units.image_names import pinned
from inaetics.units.names import Name
from inaetics.units.quoting import join, quote, quote_literal
from inaetics.units.service import check
from inaetics.units.specifiers import Host, expand

KEPT_SECTION = "X-Container"

START_TIMEOUT_S = 120
"""The default of container units: starting includes pulling the image."""

GENERATED = ("ExecStart", "ExecStop", "ExecReload", "Type", "NotifyAccess", "RemainAfterExit")
"""Directives of [Service] that a container unit cannot set."""


def is_container(unit: UnitFile) -> bool:
    """Whether the unit is written as a container, and has to be turned into a service before it runs."""
    return SECTION in unit.section_names


def to_service(unit: UnitFile, name: Name, engine: ContainerEngine, *, digest: str = "") -> UnitFile:
    """Turn a container unit into the service that runs it on a host with `engine`, by its `digest` where that is known.

    Raises `UnitFileError` with the line for a key that is unknown or refused, a value that is not understood, and
    directives of [Service] that would overrule what is generated.
    """
    check(unit, also=(SECTION,))
    check_keys(unit, name)
    _refuse_overruling(unit)
    image = unit.of(SECTION, "Image")[-1]
    generated = [Option("Service", key, value, image.line) for key, value in _service(unit, name, engine, digest)]
    return from_options([*_kept(unit), *generated], source=unit.source)


def container_name(unit: UnitFile, name: Name, *, machine_id: str, host_name: str) -> str:
    """What the engine calls the container of a unit that `to_service` has turned into a service."""
    text = _container(unit.get(KEPT_SECTION, "ContainerName"), name)
    return expand(text, name=name, host=Host(machine_id=machine_id, name=host_name))


def exec_prefix(unit: UnitFile, name: Name, engine: ContainerEngine) -> str:
    """The beginning of a command line that runs in the container of a unit that `to_service` has made a service."""
    return f"{_engine(engine)} exec {quote(_container(unit.get(KEPT_SECTION, 'ContainerName'), name))}"


def _container(given: str | None, name: Name) -> str:
    return given or ("systemd-%N" if name.instance is None else "%p-%i")


def _refuse_overruling(unit: UnitFile) -> None:
    for option in unit.of("Service", *GENERATED):
        if (option.name, option.value) != ("Type", "notify"):
            message = f"[Service] {option.name}= cannot be set in a container unit: it is generated from [{SECTION}]"
            raise unit.error(message, option.line)


def _kept(unit: UnitFile) -> Iterator[Option]:
    for option in unit.options:
        elsewhere = option.section == SECTION or (option.section == "Service" and option.name in PASSED_ON)
        yield replace(option, section=KEPT_SECTION) if elsewhere else option


def _service(unit: UnitFile, name: Name, engine: ContainerEngine, digest: str) -> Iterator[tuple[str, str]]:
    """The generated directives of [Service]."""
    container = quote(_container(unit.get(SECTION, "ContainerName"), name))
    yield from _kind(engine)
    if not unit.of("Service", "KillMode"):
        yield "KillMode", "mixed"
    if not unit.of("Service", "TimeoutStartSec", "TimeoutSec"):
        yield "TimeoutStartSec", str(START_TIMEOUT_S)
    for command in _clean_up(engine):
        yield "ExecStartPre", f"-{_engine(engine)} {command} {container}"
    image = quote(pinned(unit.of(SECTION, "Image")[-1].value, digest))
    if pulls(unit):
        yield "ExecStartPre", _pull(engine, image)
    yield "ExecStart", _run(unit, name, engine, container, image)
    yield from _stop(engine, container)


def _kind(engine: ContainerEngine) -> Iterator[tuple[str, str]]:
    if engine.kind == "docker":
        yield "Type", "exec"
    else:
        yield "Type", "notify"
        yield "NotifyAccess", "all"


def _clean_up(engine: ContainerEngine) -> tuple[str, ...]:
    """What removes a container that outlived a power cut: podman needs two attempts when its conmon died too."""
    return ("rm -f",) if engine.kind == "docker" else ("rm -f -i -t 0", "rm -f -i -t 0")


def _pull(engine: ContainerEngine, image: str) -> str:
    """Get the image: the digest that the unit keeps, or while none is known the newest of the tag."""
    if engine.pull_command:
        return f"{join(engine.pull_command, quote_literal)} {image}"
    return f"-{_engine(engine)} {join(('pull', '--quiet', *engine.pull_flags), quote_literal)} {image}"


def _stop(engine: ContainerEngine, container: str) -> Iterator[tuple[str, str]]:
    """End the container in its own time, then make sure that nothing of it is left, whoever ended it."""
    if engine.kind == "docker":
        yield "ExecStop", f"{_engine(engine)} stop {container}"
        yield "ExecStopPost", f"-{_engine(engine)} rm -v -f {container}"
    else:
        yield "ExecStop", f"{_engine(engine)} rm -v -f -i {container}"
        yield "ExecStopPost", f"-{_engine(engine)} rm -v -f -i {container}"


def _run(unit: UnitFile, name: Name, engine: ContainerEngine, container: str, image: str) -> str:
    pieces = [
        join(engine.command, quote_literal),
        join(words(unit, "GlobalArgs")),
        f"run --name={container} --rm --pull=never",
        "" if engine.kind == "docker" else f"--replace -d --log-driver=passthrough --sdnotify={_notifier(unit)}",
        join(engine.run_flags, quote_literal),
        join(list(flags(unit, engine.publish_address))),
        join(list(limit_flags(unit, name, SECTION))),
        join(words(unit, "PodmanArgs")),
        image,
        join(words(unit, "Exec")),
    ]
    return " ".join(piece for piece in pieces if piece)


def _notifier(unit: UnitFile) -> str:
    return "container" if notifies(unit) else "conmon"


def _engine(engine: ContainerEngine) -> str:
    return join(engine.command, quote_literal)
