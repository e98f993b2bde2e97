"""Removing what nothing needs from a registry that goes on serving.

A manifest goes when no tag and no kept index means it, nobody asked for it to be kept, and it is older than a grace
period. One of a bundle, which is deployed by its archive's hash and not by its tag, goes with its tags when its archive
is none of those to keep. Then docker-registry's own collector removes blobs that no manifest names. Meanwhile
everything can be pulled; who wants to push waits. A push takes many requests, and its blobs belong to nothing until its
last one: so collecting begins only after nobody has pushed for a while.

docker-registry remembers blobs it has seen, if told to, and goes on believing in those that were collected: so it is
configured without that memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.containers.daemon_log import log
from inaetics.containers.replicate_files import RegistryFiles, children, parts
from inaetics.containers.replicate_http import Own
from inaetics.containers.replicate_ledger import LedgerFile
from inaetics.containers.replicate_plan import Key, Ledger, is_digest, meant
from inaetics.errors import CommandFailed, Conflict

QUIET_S = 3.0
"""Between two requests of one push less time passes than this."""

PATIENCE_S = 60.0
"""For such a pause; then whoever asked is told to come again."""

SWEEP_S = 600.0

BUNDLES = "inaetics/bundles/"
"""Repositories that hold bundles rather than images."""


class Pushes:
    """When somebody last did something towards a push, and a barrier that stops it while garbage is collected."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = 0.0
        self._under_way = 0
        self._closed = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """Somebody pushes, within the block; waits first while the barrier is down."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed, timeout=SWEEP_S)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._last = time.monotonic()
                self._changed.notify_all()

    def close(self, *, quiet_s: float = QUIET_S, within_s: float = PATIENCE_S) -> None:
        """Lower the barrier once nobody has pushed for a while; raises `Conflict` when somebody goes on and on."""
        end = time.monotonic() + within_s
        with self._changed:
            if self._closed:
                raise Conflict("garbage is being collected here already")
            while (left := self._left(quiet_s)) > 0:
                if time.monotonic() + left > end:
                    raise Conflict("somebody pushes to this registry: collect its garbage later")
                self._changed.wait(left)
            self._closed = True

    def _left(self, quiet_s: float) -> float:
        """How much longer to wait at least, if nobody does anything more."""
        if self._under_way:
            return quiet_s
        return self._last + quiet_s - time.monotonic() if self._last else 0.0

    def open(self) -> None:
        """Raise the barrier."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to collect: manifests in `keep` (digests) stay, and such as are younger than `older_than_s`.

    Of bundles those stay that have one of the `archives` (digests); all of them where that is None.
    """

    keep: frozenset[str]
    older_than_s: float
    dry_run: bool
    archives: frozenset[str] | None = None


def victims(ledger: Ledger, files: RegistryFiles, order: Order, now_ms: int) -> list[Key]:
    """The manifests that go, sorted."""
    young = {key for key, entry in ledger.items() if entry.stamp.time_ms > now_ms - order.older_than_s * 1000}
    kept = meant(ledger) | young | {key for key in ledger if key[1] in order.keep}
    kept |= {(key[0], child["digest"]) for key in tuple(kept) for child in _children(files, ledger, key)}
    live = {key for key, entry in ledger.items() if is_digest(key[1]) and entry.digest}
    bundles = {key for key in live if key[0].startswith(BUNDLES)}
    gone = live - bundles - kept
    if order.archives is not None:
        gone |= {key for key in bundles - young if not _holds_any(files, key[1], order.archives)}
    return sorted(gone)


def _holds_any(files: RegistryFiles, digest: str, archives: frozenset[str]) -> bool:
    """Whether a manifest names one of these blobs; so it is taken to do where it cannot be read."""
    try:
        return any(part["digest"] in archives for part in parts(files.manifest(digest)))
    except (OSError, ValueError, KeyError, TypeError):
        return True


def collect(own: Own, ledger: LedgerFile, files: RegistryFiles, config: Path, order: Order) -> Mapping[str, Any]:
    """Remove what goes; returns what went. The barrier must be down, and nothing may be written meanwhile."""
    entries = ledger.entries()
    gone = victims(entries, files, order, time.time_ns() // 1_000_000)
    before = files.size()
    if not order.dry_run:
        for repository, digest in gone:
            own.remove_manifest(repository, digest)
            ledger.record(*((key, "") for key in names(entries, repository, digest)))
        _sweep(config)
    freed = before - files.size()
    log("garbage collected", manifests=len(gone), bytes=freed, dry_run=order.dry_run)
    return {"manifests": [f"{repository}@{digest}" for repository, digest in gone], "bytes": freed}


def _sweep(config: Path) -> None:
    import subprocess  # which an idle gate can do without

    command = ["docker-registry", "garbage-collect", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SWEEP_S, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-500:]
        raise CommandFailed(f"docker-registry could not collect garbage: {words}", status=done.returncode, output=words)


def names(ledger: Ledger, repository: str, digest: str) -> list[Key]:
    """A manifest by its digest and by all its tags."""
    tags = [key for key, entry in ledger.items() if key[0] == repository and entry.digest == digest]
    return list({*tags, (repository, digest)})


def _children(files: RegistryFiles, ledger: Ledger, key: Key) -> list[dict[str, Any]]:
    if key not in ledger or not is_digest(key[1]) or not ledger[key].digest:
        return []
    try:
        return children(files.manifest(key[1]))
    except (OSError, ValueError):
        return []
