"""Bringing built images into the cluster's registry; what is there already is not sent again."""

from __future__ import annotations

from dataclasses import dataclass

from inaetics.containers.images import identity, local_reference
from inaetics.containers.process import run
from inaetics.containers.registry import Registry
from inaetics.errors import NotFound
from inaetics.units.container import ContainerEngine
from inaetics.units.references import split_reference

_PUSH_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A tag in the registry. `unchanged`: it meant this image before.

    `sent` is False where the registry has nothing of it: docker shows no certificate to a registry on a loopback
    address, and need not, because all hosts share the daemon's images; the tag is made there.
    """

    reference: str
    digest: str
    unchanged: bool
    sent: bool = True

    @property
    def repository(self) -> str:
        """The image's name without registry and tag."""
        return split_reference(self.reference.partition("/")[2])[0]


def push(engine: ContainerEngine, registry: Registry, name: str, *, tag: str = "", named_after: str = "") -> Pushed:
    """Make `REGISTRY/inaetics/NAME:TAG` mean the image built last. Idempotent.

    `name` may have a tag itself (``felix-agent:java``); the tag is ``latest`` unless said.

    `named_after` is the registry in the image's name, where it is pushed to another one of the same cluster.
    Raises `NotFound` when it was not built, `Unavailable` when the registry does not answer, `CommandFailed` with the
    engine's words when it refuses (a full disk).
    """
    local = identity(engine, local_reference(name))
    if local is None:
        raise NotFound(f"image {name!r} is not built in this store (build it: inaetics image build {name})")
    plain, own_tag = split_reference(name)
    repository, tag = f"inaetics/{plain}", tag or own_tag
    reference = f"{named_after or registry.address}/{repository}:{tag}"
    destination = f"{registry.address}/{repository}:{tag}"
    doing = f"push image {name} to {registry.address}"
    if engine.kind == "docker":
        run([*engine.command, "tag", local_reference(name), reference], doing=doing, timeout_s=_PUSH_S)
        return Pushed(reference=reference, digest=local, unchanged=False, sent=False)
    if digest := _digest_of(registry, repository, tag, local):
        return Pushed(reference=reference, digest=digest, unchanged=True)
    command = [*engine.command, "push", "--quiet", *engine.pull_flags, local_reference(name), destination]
    run(command, doing=doing, timeout_s=_PUSH_S)
    return Pushed(reference=reference, digest=registry.image(repository, tag).digest, unchanged=False)


def _digest_of(registry: Registry, repository: str, tag: str, local: str) -> str | None:
    """The manifest's digest when the tag means exactly the image `local`, else None."""
    try:
        there = registry.image(repository, tag)
    except NotFound:
        return None
    return there.digest if there.identity.removeprefix("sha256:") == local.removeprefix("sha256:") else None
