"""In which order bundles start, and whether they can at all: every requirement needs a provider beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inaetics.bundles.manifest import Manifest
from inaetics.bundles.words import nearest
from inaetics.errors import InvalidInput


def start_order(manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
    """`manifests` with providers before those that require them; otherwise in the given order.

    A bundle provides its own name and what its manifest says. Raises `InvalidInput` for a bundle that is there twice, a
    requirement nobody meets, a capability with two providers of which one wants to be the only one, and a circle, which
    it names.
    """
    providers = _providers(manifests)
    _check_exclusive(manifests, providers)
    started: dict[str, Manifest] = {}
    for manifest in manifests:
        _start(manifest, providers, started, path=())
    return tuple(started.values())


def check_language(manifests: Iterable[Manifest], language: str, *, remedy: str) -> None:
    """Raise `InvalidInput` for a bundle that agents of this language (python, java) cannot run; `remedy` says more."""
    for manifest in manifests:
        if manifest.language != language:
            kind = "an OSGi bundle" if manifest.language == "java" else "a Python bundle"
            raise InvalidInput(
                f"bundle {manifest.key} is {kind}, for {manifest.language.title()} agents and not for"
                f" {language.title()} ones ({remedy})"
            )


def _providers(manifests: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    providers: dict[str, list[Manifest]] = {}
    names: set[str] = set()
    for manifest in manifests:
        if manifest.name in names:
            raise InvalidInput(f"cannot install two versions of bundle {manifest.name!r} in one agent")
        names.add(manifest.name)
        for capability in {manifest.name, *manifest.provides}:
            providers.setdefault(capability, []).append(manifest)
    return providers


def _check_exclusive(manifests: Iterable[Manifest], providers: dict[str, list[Manifest]]) -> None:
    for manifest in manifests:
        for capability in manifest.exclusive:
            others = [other.key for other in providers[capability] if other.name != manifest.name]
            if others:
                raise InvalidInput(
                    f"bundles {manifest.key} and {others[0]} both provide {capability!r}, "
                    f"and {manifest.key} must be the only one: install one of them"
                )


def _start(
    manifest: Manifest, providers: dict[str, list[Manifest]], started: dict[str, Manifest], *, path: tuple[str, ...]
) -> None:
    if manifest.name in started:
        return
    if manifest.name in path:
        circle = " → ".join((*path[path.index(manifest.name) :], manifest.name))
        raise InvalidInput(f"bundles require each other in a circle: {circle}")
    for requirement in manifest.requires:
        if requirement not in providers:
            raise InvalidInput(
                f"bundle {manifest.key} requires {requirement!r}, which no bundle beside it provides"
                f"{nearest(requirement, providers)}"
            )
        for provider in providers[requirement]:
            if provider.name != manifest.name:
                _start(provider, providers, started, path=(*path, manifest.name))
    started[manifest.name] = manifest
