"""What a version of the mapping gives to whom, read from its record alone. Pure.

Servers and agents both read it here: the one gives it, the other checks that it was given nothing else. A record of
older software has no `rules`; `inaetics.bundles.resolve` fills them in, where the bundles are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from inaetics.bundles.records import Rule, Version
from inaetics.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """One archive of a bundle: no other one has its name, version and hash."""

    name: str
    version: str
    sha256: str

    @property
    def key(self) -> str:
        """As records name it: ``name@version``."""
        return f"{self.name}@{self.version}"


def read_version(value: bytes) -> Version:
    """A version as etcd has it. Raises `InvalidInput` for what is none, or names no archive of a bundle it gives."""
    try:
        version = msgspec.json.decode(value, type=Version)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the record of a version of the mapping cannot be read: {error}") from error
    if version.rules is not None:
        for archives, keys in (
            *((version.archives, rule.bundles) for rule in version.rules),
            *((held.archives, held.bundles) for held in version.held.values()),
        ):
            if missing := [key for key in keys if key not in archives]:
                raise InvalidInput(f"the record of version {version.version} names no archive of {missing[0]}")
    return version


def given(version: Version, target: str) -> tuple[Pinned, ...]:
    """What `target` gets, as it starts: what it is held at, else by the first rule that fits; nothing when none does.

    `version` is one that `read_version` took, or that has been resolved.
    """
    if target in version.held:
        held = version.held[target]
        return tuple(_pinned(key, held.archives[key]) for key in held.bundles)
    rule = rule_for(version, target)
    return tuple(_pinned(key, version.archives[key]) for key in (rule.bundles if rule else ()))


def rule_for(version: Version, target: str) -> Rule | None:
    """The first rule that fits, held or not."""
    metadata = version.metadata.get(target, {})
    return next((rule for rule in version.rules or () if _fits(rule, target, metadata)), None)


def why(version: Version, target: str) -> str:
    """Why it gets what it gets, in words."""
    if target in version.held:
        return f"held at version {version.held[target].version}"
    rule = rule_for(version, target)
    return f"rule {rule.title}" if rule else "no rule fits"


def named_targets(version: Version) -> frozenset[str]:
    """Targets that the mapping itself names: in rules without a glob, by metadata, or held."""
    literal = {rule.target for rule in version.rules or () if not set("*?[") & set(rule.target)}
    return frozenset({*literal, *version.metadata, *version.held})


def used(version: Version) -> tuple[Pinned, ...]:
    """Every archive that some target may get, each once, in the order of the rules."""
    by_rule = [_pinned(key, version.archives[key]) for rule in version.rules or () for key in rule.bundles]
    by_hold = [_pinned(key, held.archives[key]) for held in version.held.values() for key in held.bundles]
    return tuple(dict.fromkeys((*by_rule, *by_hold)))


def _fits(rule: Rule, target: str, metadata: dict[str, str]) -> bool:
    return fnmatchcase(target, rule.target) and all(metadata.get(key) in values for key, values in rule.where.items())


def _pinned(key: str, sha256: str) -> Pinned:
    name, _, version = key.partition("@")
    return Pinned(name=name, version=version, sha256=sha256)
