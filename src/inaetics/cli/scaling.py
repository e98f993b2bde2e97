"""What `inaetics_fleet_manager --start` does: from what is submitted and what is asked for to a list of actions. Pure.

Promises: applied, the actions leave nothing to do (asking again gives none); agents beyond the number asked for go,
the highest first; further producers (`inaetics scale producers`) stay as many as they are; units that are not of the
system (another instance name, another prefix) are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inaetics.errors import InvalidInput
from inaetics.units.names import parse_name

PROVISIONING = "provisioning.service"
FELIX = "felix@.service"
CELIX = "celix@.service"
PRODUCER = "producer@.service"
TEMPLATES = (PROVISIONING, FELIX, CELIX, PRODUCER)
"""In the order they are started: felix before celix, because it conflicts with more; producers only by scaling."""

OPTIONAL = frozenset({PRODUCER})
"""What a folder of unit files need not have: without it, scaling finds no further producers."""

MAX_AGENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A submitted unit: the hash of its file, and what is wanted of it."""

    hash: str
    desired: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A unit file as it is on disk."""

    text: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Submit `name` with the file of `template`; `launch`: it shall run; `changed`: it replaces another."""

    name: str
    template: str
    launch: bool
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start a unit that is submitted with the right file already."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy:
    """Stop and forget a unit that is one too many."""

    name: str


Action = Submit | Launch | Destroy


def plan(stored: Mapping[str, Stored], files: Mapping[str, File], *, felix: int, celix: int) -> list[Action]:
    """What to do so that one provisioning server, `felix` and `celix` agents run from `files` (by unit or template)."""
    wanted = wanted_units(felix=felix, celix=celix)
    actions: list[Action] = [Destroy(name=name) for name in _surplus(stored, wanted)]
    for template in (FELIX, CELIX, *sorted(OPTIONAL & files.keys())):
        actions += _bring(template, template, stored, files[template], launch=False)
    for name in wanted:
        template = PROVISIONING if name == PROVISIONING else parse_name(name).template
        actions += _bring(name, template, stored, files[template], launch=True)
    for name in system_units(stored):
        if PRODUCER in files and name not in TEMPLATES and parse_name(name).template == PRODUCER:
            actions += _bring(name, PRODUCER, stored, files[PRODUCER], launch=False)
    return actions


def wanted_units(*, felix: int, celix: int) -> tuple[str, ...]:
    """Every unit that shall run, in the order in which it is started."""
    for kind, count in (("felix", felix), ("celix", celix)):
        if not 0 <= count <= MAX_AGENTS:
            raise InvalidInput(f"{count} {kind} agents: give a number from 0 to {MAX_AGENTS}")
    return (
        PROVISIONING,
        *(f"felix@{number}.service" for number in range(1, felix + 1)),
        *(f"celix@{number}.service" for number in range(1, celix + 1)),
    )


def system_units(stored: Mapping[str, object]) -> list[str]:
    """The submitted units of the system: agents, the last first, the provisioning server, the templates."""
    agents = [name for name in stored if _agent_number(name) is not None]
    agents.sort(key=lambda name: (parse_name(name).prefix, -(_agent_number(name) or 0)))
    return [*agents, *(name for name in TEMPLATES if name in stored)]


def _surplus(stored: Mapping[str, Stored], wanted: tuple[str, ...]) -> list[str]:
    agents = (name for name in system_units(stored) if name not in TEMPLATES)
    return [name for name in agents if name not in wanted and parse_name(name).template != PRODUCER]


def _agent_number(name: str) -> int | None:
    """The number of an agent of the system, None for any other unit."""
    parsed = parse_name(name)
    number = parsed.instance or ""
    ours = parsed.is_instance and parsed.template in (FELIX, CELIX, PRODUCER)
    return int(number) if ours and number.isascii() and number.isdecimal() else None


def _bring(name: str, template: str, stored: Mapping[str, Stored], file: File, *, launch: bool) -> Iterator[Action]:
    before = stored.get(name)
    if before is None or before.hash != file.hash:
        yield Submit(name=name, template=template, launch=launch, changed=before is not None)
    elif launch and before.desired != "launched":
        yield Launch(name=name)
