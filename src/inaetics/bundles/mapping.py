"""Which bundles each target gets: bundles in features, features in distributions, rules that give them. Pure.

A person writes it, as TOML::

    within_s = 20                           # a bundle that takes longer to start has failed (20 unless said)

    [features]
    basis = ["statistics"]                  # bundles, the newest version known when the mapping is applied
    viewing = ["basis", "viewer@1.2.0"]     # features inside features; a version when it shall be that one

    [distributions]
    desk = ["viewing", "basis"]             # features

    [targets."celix@3"]                     # what is known of targets, for rules to ask for
    zone = "north"

    [[rules]]                               # in order; the first that fits a target is taken, the others are not
    target = "felix@1"                      # a name or a glob; any target unless said
    install = ["desk", "datastore"]         # distributions, features, bundles

    [[rules]]
    target = "celix@*"
    where = {zone = ["north", "east"]}      # and its metadata: all of these, one of several values
    install = ["basis"]

    [[rules]]
    target = "java@*"
    language = "java"                       # its agents are Java's: they get OSGi bundles (Python's, unless said)
    install = ["processor_java"]

It is read strictly: an unknown field, bundle, version, feature or key of metadata is an error that names it and the
nearest known one; so are circles, and requirements that the bundles of one rule do not meet. A mapping that
`parse_mapping` returned is right for the bundles it was given.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from inaetics.bundles.exchange import WITHIN_S
from inaetics.bundles.manifest import Manifest, version_order
from inaetics.bundles.records import Rule as RuleRecord
from inaetics.bundles.requirements import check_language, start_order
from inaetics.bundles.words import nearest
from inaetics.errors import InvalidInput

Metadata = Map[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Targets that fit the glob `target` and have the metadata get `bundles`, which start in this order."""

    target: str
    bundles: tuple[Manifest, ...]
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Rules in order, checked against the bundles that exist; `inaetics.bundles.given` says who gets what by them."""

    rules: tuple[Rule, ...]
    metadata: Map[str, Metadata] = field(default_factory=dict)
    """Of each target that has any."""
    lock: Map[str, str] = field(default_factory=dict)
    """Which version each name without one means."""
    within_s: float = WITHIN_S


class _RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    install: list[str]
    target: Annotated[str, msgspec.Meta(min_length=1)] = "*"
    where: dict[str, str | list[str]] = {}
    language: Literal["python", "java"] = "python"


class _MappingText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[_RuleText]
    features: dict[str, list[str]] = {}
    distributions: dict[str, list[str]] = {}
    targets: dict[str, dict[str, str]] = {}
    within_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = WITHIN_S


def parse_mapping(
    text: str,
    bundles: Iterable[Manifest],
    *,
    source: str = "mapping",
    lock: Map[str, str] | None = None,
) -> Mapping:
    """Read a mapping of `bundles`, of which there may be several versions each.

    A name without a version means the one in `lock`, and the newest where that has none. Raises `InvalidInput`,
    beginning with `source`, for the first thing that is wrong.
    """
    try:
        wanted = msgspec.convert(tomllib.loads(text), _MappingText)
        return _mapping(wanted, _Names(wanted, _by_name(bundles), lock or {}))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, InvalidInput) as error:
        raise InvalidInput(f"{source}: {error}") from error


def _mapping(wanted: _MappingText, names: _Names) -> Mapping:
    names.check()
    rules = tuple(_rule(rule, names, wanted.targets) for rule in wanted.rules)
    lock = dict(sorted(names.lock.items()))
    return Mapping(rules=rules, metadata=wanted.targets, lock=lock, within_s=wanted.within_s)


def _rule(text: _RuleText, names: _Names, targets: Map[str, Metadata]) -> Rule:
    where = tuple((key, (value,) if isinstance(value, str) else tuple(value)) for key, value in text.where.items())
    name = f"rule {RuleRecord(target=text.target, where=dict(where)).title}"
    known = {key for metadata in targets.values() for key in metadata}
    for key, _ in where:
        if key not in known:
            raise InvalidInput(f"{name}: no target has {key!r}{nearest(key, known)}")
    bundles = names.start_order(text.install, where=name)
    other = "java" if text.language == "python" else "python"
    try:
        check_language(bundles, text.language, remedy=f'a rule for {other.title()} agents says language = "{other}"')
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error
    return Rule(target=text.target, where=where, bundles=bundles)


def _by_name(bundles: Iterable[Manifest]) -> dict[str, dict[str, Manifest]]:
    """Versions of each bundle, the newest last."""
    known: dict[str, dict[str, Manifest]] = {}
    for manifest in sorted(bundles, key=lambda each: (each.name, version_order(each.version))):
        known.setdefault(manifest.name, {})[manifest.version] = manifest
    return known


class _Names:
    """What a name in a list stands for. `lock` collects what names without a version came to mean."""

    def __init__(self, text: _MappingText, bundles: dict[str, dict[str, Manifest]], given_lock: Map[str, str]) -> None:
        self._features = text.features
        self._distributions = text.distributions
        self._bundles = bundles
        self._given_lock = given_lock
        self._expanded: dict[str, tuple[Manifest, ...]] = {}
        self.lock: dict[str, str] = {}

    def check(self) -> None:
        """Raise for what is wrong in features and distributions, whether a rule uses them or not."""
        kinds = {"feature": self._features, "distribution": self._distributions}
        for kind, names in kinds.items():
            for name in sorted(names.keys() & self._bundles.keys()):
                raise InvalidInput(f"{kind} {name!r} has the name of a bundle: give it another")
        for name in sorted(self._features.keys() & self._distributions.keys()):
            raise InvalidInput(f"distribution {name!r} has the name of a feature: give it another")
        for feature in self._features:
            self._expand(feature, where=f"feature {feature!r}")
        for name, features in self._distributions.items():
            for feature in features:
                if feature not in self._features:
                    raise InvalidInput(
                        f"distribution {name!r}: no feature {feature!r}{nearest(feature, self._features)}"
                    )

    def start_order(self, names: Iterable[str], *, where: str) -> tuple[Manifest, ...]:
        """The bundles behind `names`, as they start; raises `InvalidInput`, beginning with `where`."""
        found: dict[str, Manifest] = {}
        for manifest in (each for name in names for each in self._expand(name, where=where)):
            other = found.setdefault(manifest.name, manifest)
            if other.version != manifest.version:
                raise InvalidInput(f"{where}: two versions of one bundle, {other.key} and {manifest.key}")
        try:
            return start_order(tuple(found.values()))
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error}") from error

    def _expand(self, name: str, *, where: str, path: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
        """The bundles behind one name, each once. `path` is the features that led here."""
        parts = self._features.get(name)
        if parts is None and not path:
            parts = self._distributions.get(name)
        if parts is None:
            return (self._bundle(name, where),)
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise InvalidInput(f"features contain each other in a circle: {circle}")
        if name not in self._expanded:
            inside, here = (*path, name), f"feature {name!r}"
            found = [self._expand(part, where=here, path=inside) for part in parts]
            self._expanded[name] = tuple({bundle.key: bundle for part in found for bundle in part}.values())
        return self._expanded[name]

    def _bundle(self, text: str, where: str) -> Manifest:
        name, at, version = text.partition("@")
        versions = self._bundles.get(name)
        if versions is None:
            raise InvalidInput(f"{where}: {self._unknown(name, bundle=bool(at))}")
        if not at:
            version = self._given_lock.get(name) or list(versions)[-1]
            self.lock[name] = version
        if version not in versions:
            raise InvalidInput(f"{where}: no version {version!r} of bundle {name!r}{nearest(version, versions)}")
        return versions[version]

    def _unknown(self, name: str, *, bundle: bool) -> str:
        if name in self._distributions:
            return f"{name!r} is a distribution: features hold bundles and features"
        if bundle:
            return f"no bundle {name!r}{nearest(name, self._bundles)}"
        known = [*self._bundles, *self._features, *self._distributions]
        return f"no bundle, feature or distribution {name!r}{nearest(name, known)}"
