"""Which units use which image, and as which digest: what the fleet knows, joined with the names in unit files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inaetics.api.client import FleetClient
from inaetics.api.rollouts_client import rollouts
from inaetics.api.wire import StateEntry, UnitEntry
from inaetics.containers.context import full_name
from inaetics.containers.prune import Needed
from inaetics.errors import UnitFileError
from inaetics.units.container_arguments import SECTION
from inaetics.units.grammar import parse
from inaetics.units.image_names import OWN_REGISTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A unit with an image: the name it goes by, with its tag; the digest it keeps; what each machine runs of it."""

    unit: str
    image: str
    keeps: str = ""
    runs: tuple[tuple[str, str], ...] = ()

    @property
    def digests(self) -> frozenset[str]:
        """Every digest that it may want to run."""
        return frozenset(digest for digest in (self.keeps, *(digest for _, digest in self.runs)) if digest)


def uses(client: FleetClient) -> tuple[Use, ...]:
    """Every unit of the fleet that runs a container, by name."""
    units = client.units().units
    files = _files(client, units)
    running: dict[str, list[StateEntry]] = {}
    for state in client.states().states:
        running.setdefault(state.name, []).append(state)
    return tuple(
        use for unit in units if (use := _use(unit, files.get(unit.hash, ""), running.get(unit.name, ()))) is not None
    )


def needed(client: FleetClient, registry: str) -> Needed:
    """What the fleet needs of images: what units keep, run and name, and what an update under way may return to.

    `registry` is the address that `${INAETICS_REGISTRY}` stands for.
    """
    digests: set[str] = set()
    names: set[str] = set()
    for use in uses(client):
        digests |= use.digests
        names.add(full_name(use.image.replace(OWN_REGISTRY, registry)))
        digests |= {use.image.partition("@")[2]} - {""}
    for rollout in rollouts(client).rollouts:
        if rollout.runs:
            digests |= {digest for step in rollout.steps for digest in (step.old_image, step.new_image) if digest}
    return Needed(digests=frozenset(digests), names=frozenset(names))


def _use(unit: UnitEntry, image: str, states: Iterable[StateEntry]) -> Use | None:
    if not image:
        return None
    runs = tuple(sorted((state.machine.name, state.image) for state in states if state.active != "inactive"))
    return Use(unit=unit.name, image=image, keeps=(unit.image or "").partition("@")[2], runs=runs)


def _files(client: FleetClient, units: Iterable[UnitEntry]) -> dict[str, str]:
    """The image that each file names, as written, by the file's hash; a file is asked for once, whoever shares it."""
    found: dict[str, str] = {}
    for unit in units:
        if unit.hash not in found:
            found[unit.hash] = _image_in(client.unit(unit.name).text)
    return found


def _image_in(text: str) -> str:
    try:
        return parse(text).get(SECTION, "Image") or ""
    except UnitFileError:  # stored by other software: it is no container to us
        return ""
