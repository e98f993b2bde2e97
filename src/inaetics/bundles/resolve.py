"""From what a person wrote to a record that says everything: which archives each rule gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping as Map

import msgspec

from inaetics.bundles.manifest import Manifest
from inaetics.bundles.mapping import Mapping, parse_mapping
from inaetics.bundles.records import Held, Rule, Version
from inaetics.bundles.repository import Repository
from inaetics.errors import InvalidInput

MOST_NAMED = 3
"""Bundles in a note; of more it says how many."""


def resolved(version: Version, repository: Repository) -> Version:
    """`version` as it is where it says everything; a record of older software by the newest archives there are.

    Raises `InvalidInput`.
    """
    return version if version.rules is not None else resolve(version, repository)


def resolve(
    version: Version, repository: Repository, *, pins: Map[str, str] | None = None, source: str = ""
) -> Version:
    """`version` with rules and archives as its text and `lock` say: the archives of `pins`, of the rest the newest.

    What is held stays as it is. Raises `InvalidInput` for what cannot be followed, beginning with `source` (the
    version, unless said), and `NotFound` for a pin whose archive is not kept.
    """
    source, pins = source or f"version {version.version}", pins or {}
    mapping = parse_mapping(version.text, repository.manifests(pins), source=source, lock=version.lock)
    needed = {bundle.name_and_version: bundle for rule in mapping.rules for bundle in rule.bundles}
    archives = {
        key: repository.pick(repository.newest[bundle.name, bundle.version], pins).sha256
        for key, bundle in sorted(needed.items())
    }
    held = {target: _held(target, each, repository, source) for target, each in version.held.items()}
    return msgspec.structs.replace(
        version,
        lock=dict(mapping.lock),
        rules=_rules(mapping),
        metadata={target: dict(each) for target, each in mapping.metadata.items()},
        archives=archives,
        within_s=mapping.within_s,
        held=held,
    )


def with_newest(current: Version, made: Version, repository: Repository, keys: tuple[str, ...]) -> Version:
    """`current`, by the number and the author of `made`, but of these bundles (``name@version``) the newest archives.

    What is held keeps its own. `current` itself when it gives them already.
    """
    before = resolved(current, repository)
    pins = {key: sha256 for key, sha256 in before.archives.items() if key not in keys}
    found = resolve(made, repository, pins=pins)
    changed = [key for key, sha256 in found.archives.items() if before.archives.get(key) != sha256]
    if not changed and current.rules is not None:
        return current
    more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
    return msgspec.structs.replace(found, note=f"{', '.join(changed[:MOST_NAMED])}{more} replaced")


def _rules(mapping: Mapping) -> tuple[Rule, ...]:
    return tuple(
        Rule(target=rule.target, where=dict(rule.where), bundles=_names(rule.bundles)) for rule in mapping.rules
    )


def _names(bundles: tuple[Manifest, ...]) -> tuple[str, ...]:
    return tuple(bundle.name_and_version for bundle in bundles)


def _held(target: str, held: Held, repository: Repository, source: str) -> Held:
    """What older software held names no archives: it means those there are."""
    archives = dict(held.archives)
    for key in held.bundles:
        name, _, number = key.partition("@")
        if key not in archives:
            if (name, number) not in repository.newest:
                raise InvalidInput(f"{source}: target {target!r}, held: there is no bundle {key}")
            archives[key] = repository.newest[name, number].sha256
    return msgspec.structs.replace(held, archives=archives)
