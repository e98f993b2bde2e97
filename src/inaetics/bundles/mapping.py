"""Which bundles each target gets: features are named lists of bundles, rules give them to targets. Pure.

A person writes it, as TOML::

    [features]
    basis = ["statistics"]                  # bundles, newest version known
    viewing = ["basis", "viewer@1.2.0"]     # features inside features; a version when it shall be that one

    [[rules]]                               # in order; the first whose target fits is taken, the others are not
    target = "felix@1"
    install = ["viewing", "datastore"]

    [[rules]]
    target = "celix@*"
    install = ["basis"]

It is read strictly: an unknown field, bundle, version or feature is an error that names it and the nearest known one;
so are circles, and requirements that the bundles of one rule do not meet. A mapping that `parse_mapping` returned is
right for the bundles it was given.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import msgspec

from inaetics.bundles.manifest import Manifest, version_order
from inaetics.bundles.requirements import start_order
from inaetics.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Targets that fit the glob `target` get `bundles`, which start in this order."""

    target: str
    bundles: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Rules in order, checked against the bundles that exist."""

    rules: tuple[Rule, ...]

    def bundles_for(self, target: str) -> tuple[Manifest, ...]:
        """What `target` gets by the first rule that fits; nothing when none does."""
        rule = self.rule_for(target)
        return rule.bundles if rule else ()

    def rule_for(self, target: str) -> Rule | None:
        return next((rule for rule in self.rules if fnmatchcase(target, rule.target)), None)


class _RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: str
    install: list[str]


class _MappingText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[_RuleText]
    features: dict[str, list[str]] = {}


def parse_mapping(text: str, bundles: Iterable[Manifest], *, source: str = "mapping") -> Mapping:
    """Read a mapping of `bundles`, of which there may be several versions each.

    Raises `InvalidInput`, beginning with `source`, for the first thing that is wrong.
    """
    try:
        wanted = msgspec.convert(tomllib.loads(text), _MappingText)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidInput(f"{source}: {error}") from error
    try:
        names = _Names(wanted.features, _by_name(bundles))
        for feature in wanted.features:
            names.expand(feature, where=f"feature {feature!r}")
        rules = tuple(names.rule(rule) for rule in wanted.rules)
    except InvalidInput as error:
        raise InvalidInput(f"{source}: {error}") from error
    return Mapping(rules=rules)


def _by_name(bundles: Iterable[Manifest]) -> dict[str, dict[str, Manifest]]:
    """Versions of each bundle, the newest last."""
    known: dict[str, dict[str, Manifest]] = {}
    for manifest in sorted(bundles, key=lambda each: (each.name, version_order(each.version))):
        known.setdefault(manifest.name, {})[manifest.version] = manifest
    return known


class _Names:
    """What a name in a list stands for."""

    def __init__(self, features: dict[str, list[str]], bundles: dict[str, dict[str, Manifest]]) -> None:
        self._features = features
        self._bundles = bundles
        self._expanded: dict[str, tuple[Manifest, ...]] = {}
        for name in sorted(features.keys() & bundles.keys()):
            raise InvalidInput(f"feature {name!r} has the name of a bundle: give it another")

    def rule(self, text: _RuleText) -> Rule:
        where = f"rule {text.target!r}"
        found: dict[str, Manifest] = {}
        for name in text.install:
            for manifest in self.expand(name, where=where):
                other = found.setdefault(manifest.name, manifest)
                if other.version != manifest.version:
                    raise InvalidInput(f"{where}: two versions of one bundle, {other.key} and {manifest.key}")
        try:
            return Rule(target=text.target, bundles=start_order(tuple(found.values())))
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error}") from error

    def expand(self, name: str, *, where: str, path: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
        """The bundles behind one name, each once. `path` is the features that led here."""
        if name not in self._features:
            return (self._bundle(name, where),)
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise InvalidInput(f"features contain each other in a circle: {circle}")
        if name not in self._expanded:
            inside, here = (*path, name), f"feature {name!r}"
            parts = [self.expand(part, where=here, path=inside) for part in self._features[name]]
            self._expanded[name] = tuple({bundle.key: bundle for part in parts for bundle in part}.values())
        return self._expanded[name]

    def _bundle(self, text: str, where: str) -> Manifest:
        name, at, version = text.partition("@")
        versions = self._bundles.get(name)
        if versions is None:
            known = [*self._bundles, *(() if at else self._features)]
            raise InvalidInput(f"{where}: no bundle or feature {name!r}{_nearest(name, known)}")
        if not at:
            return list(versions.values())[-1]
        if version not in versions:
            raise InvalidInput(f"{where}: no version {version!r} of bundle {name!r}{_nearest(version, versions)}")
        return versions[version]


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(sorted(known)) or 'none'})"
