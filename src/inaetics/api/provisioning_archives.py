"""Whether archives can be had: asked before anything is put in force that needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from inaetics.bundles.records import REPOSITORY, Artifact
from inaetics.containers.artifacts import ArtifactRegistry
from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.tls import client_context

TIMEOUT_S = 3.0


class Archives(Protocol):
    """Raises `InvalidInput` for an archive that no registry has, `Unavailable` when nobody can tell."""

    async def check(self, artifacts: Iterable[Artifact]) -> None: ...


class Unchecked:
    """Believes that every archive is there: for tests without a registry."""

    async def check(self, artifacts: Iterable[Artifact]) -> None:
        """Say nothing."""


class RegistryArchives:
    """Asks the cluster's registries, one after another until one has an archive. `certificates` as for images."""

    def __init__(self, addresses: Sequence[str], certificates: Path) -> None:
        self._addresses = tuple(addresses)
        self._certificates = certificates

    async def check(self, artifacts: Iterable[Artifact]) -> None:
        """See `Archives`."""
        wanted = tuple(artifacts)
        if wanted:
            await asyncio.to_thread(self._check, wanted)

    def _check(self, artifacts: Sequence[Artifact]) -> None:
        ca, cert, key = (self._certificates / name for name in ("ca.crt", "client.cert", "client.key"))
        context = client_context(ca=ca, cert=cert, key=key, whose="the registry's client's")
        registries = [ArtifactRegistry(address, context, timeout_s=TIMEOUT_S) for address in self._addresses]
        for artifact in artifacts:
            _check_one(registries, artifact)


def _check_one(registries: Sequence[ArtifactRegistry], artifact: Artifact) -> None:
    silent: list[str] = []
    for registry in registries:
        try:
            if registry.holds(f"{REPOSITORY}{artifact.name}", artifact.sha256):
                return
        except InaeticsError as error:
            silent.append(str(error))
    what = f"the archive of bundle {artifact.manifest.key} (sha256 {artifact.sha256[:16]}…)"
    if silent or not registries:
        raise Unavailable(
            f"{what} cannot be looked for: {'; '.join(silent) or 'no registry is known'} (nothing was changed; "
            "try again when a registry is there: inaetics status)"
        )
    raise InvalidInput(f"{what} is in no registry of the cluster (push it: inaetics bundle push)")
