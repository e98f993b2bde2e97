"""Brings archives here before anybody is told to install them: from the registry, checked in every way there is.

Works on a thread of its own. What cannot be had now (no registry answers, or what it gives is not what was asked for,
or nobody we know signed it) is tried again; the desk shows why meanwhile, and whoever runs something goes on with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from inaetics.bundles.archive import MAX_BYTES, Archive
from inaetics.bundles.records import REPOSITORY, Artifact
from inaetics.bundles.signature import verify
from inaetics.containers.artifacts import ArtifactRegistry, fetch_from_any
from inaetics.errors import InaeticsError, InvalidInput
from inaetics.provisioning.cache import ArchiveCache
from inaetics.provisioning.desk import Desk

log = structlog.get_logger()

RETRY_S = 2.0


class Stager:
    """`anchors` says whose signatures count; without it none is asked for. `failed` hears of what should not happen."""

    def __init__(
        self,
        desk: Desk,
        cache: ArchiveCache,
        registries: Sequence[ArtifactRegistry],
        *,
        anchors: Path | None,
        failed: Callable[[str], None],
    ) -> None:
        self._desk = desk
        self._cache = cache
        self._registries = registries
        self._anchors = anchors
        self._failed = failed
        self._ready: frozenset[str] = frozenset()
        self._troubles: dict[str, str] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stager", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look again now: another version is in force. Safe from any thread."""
        self._wake.set()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End; a fetch that hangs is left behind. Idempotent."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def archive(self, artifact: Artifact) -> Archive:
        """The archive, from here or from the registry. Raises `Unavailable` or `InvalidInput`."""
        if self._anchors is not None:
            _verified(artifact, self._anchors)
        found = self._cache.find(artifact.sha256)
        if found is None:
            data = fetch_from_any(
                self._registries,
                f"{REPOSITORY}{artifact.name}",
                artifact.sha256,
                limit=min(artifact.size, 2 * MAX_BYTES),
            )
            found = self._cache.add(artifact.sha256, data)
            log.info("archive fetched", bundle=artifact.manifest.key, sha256=artifact.sha256, bytes=len(data))
        if found.manifest != artifact.manifest:
            raise InvalidInput(f"the archive says {found.manifest} but its record says {artifact.manifest}")
        return found

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._stage()
                self._wake.wait(RETRY_S if self._troubles else None)
                self._wake.clear()
        except Exception as error:
            log.exception("stager failed")
            self._failed(f"stager failed: {error}")

    def _stage(self) -> None:
        """One pass over what is missing; agents are told once, at its end."""
        ready, troubles = set(self._ready), {}
        missing = self._desk.missing()
        for artifact in missing:
            if self._stopping.is_set():
                return
            try:
                self.archive(artifact)
                ready.add(artifact.sha256)
            except InaeticsError as error:
                troubles[artifact.sha256] = words = f"cannot give bundle {artifact.manifest.key}: {error}"
                if self._troubles.get(artifact.sha256) != words:
                    log.error("archive not to be had", error=words)  # noqa: TRY400 - made for people
        self._ready, self._troubles = frozenset(ready), troubles
        self._desk.staged(self._ready, troubles)
        if missing and not troubles:
            log.info("archives ready", bundles=[artifact.manifest.key for artifact in missing])
        self._cache.trim({artifact.sha256 for artifact in self._desk.known.all if artifact.sha256 in ready})


def _verified(artifact: Artifact, anchors: Path) -> None:
    try:
        verify(artifact.sha256, artifact.signature, anchors=anchors)
    except InvalidInput as error:
        raise InvalidInput(f"its signature does not count: {error}") from error
