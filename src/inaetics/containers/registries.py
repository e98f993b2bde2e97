"""All registries of a cluster at once: how each is, whether each has an image, and removing what nothing needs.

Each is asked for itself and for a bounded time; one that does not answer is a finding, never an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.containers.distribution import MANIFESTS
from inaetics.containers.replicate_http import Peer
from inaetics.errors import InaeticsError, NotFound

ANSWER_S = 3.0
COPY_S = 60.0
COLLECT_S = 900.0
LOOK_S = 0.1

GRACE_S = 24 * 3600.0
"""What was pushed later than this is not collected, needed or not: somebody may be about to use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryState:
    """One registry as it says itself, or why it says nothing. `missing` counts what it still has to copy."""

    address: str
    host: str = ""
    answers: bool = False
    tags: int = 0
    manifests: int = 0
    bytes: int = 0
    free: int = 0
    total: int = 0
    missing: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one registry gave up: manifests as repository@digest, and bytes of its disk; or why nothing."""

    address: str
    manifests: tuple[str, ...] = ()
    bytes: int = 0
    trouble: str = ""


def states(addresses: Sequence[str], certificates: Path) -> list[RegistryState]:
    """How each registry is, in the order given; all are asked at once."""
    with ThreadPoolExecutor(max_workers=max(1, len(addresses))) as pool:
        return list(pool.map(lambda address: _state(address, certificates), addresses))


def first_that_answers(addresses: Sequence[str], certificates: Path) -> str:
    """The first registry that answers now; the first of all when none does, so that errors name it."""
    for address in addresses:
        try:
            with _peer(address, certificates).asked("GET", "/v2/"):
                return address
        except InaeticsError:
            continue
    return addresses[0]


def wait_copied(
    addresses: Sequence[str], certificates: Path, images: Iterable[tuple[str, str]], *, within_s: float = COPY_S
) -> dict[str, int]:
    """Wait until every registry that answers has all `images` (repository, digest).

    Returns how many each of them still lacks when time is up, all 0 at best; those that do not answer are left out.
    """
    lacking = {address: set(images) for address in addresses}
    end = time.monotonic() + within_s
    while True:
        for address, wanted in tuple(lacking.items()):
            try:
                peer = _peer(address, certificates)
                wanted -= {each for each in wanted if _has(peer, *each)}
            except InaeticsError:
                del lacking[address]
        if not any(lacking.values()) or time.monotonic() > end:
            return {address: len(wanted) for address, wanted in lacking.items()}
        time.sleep(LOOK_S)


def prune(
    addresses: Sequence[str],
    certificates: Path,
    keep: Collection[str],
    *,
    archives: Collection[str] | None = None,
    older_than_s: float = GRACE_S,
    dry_run: bool = False,
) -> list[Collected]:
    """Have one registry after the other remove the manifests that no tag means, but for the digests to `keep`.

    Of bundles it removes those whose archive is none of `archives` (digests), tagged or not; none without it. Images
    can be pulled from every registry all the time. The certificate must be one that may push.
    """
    order: dict[str, object] = {"keep": sorted(keep), "older_than_s": older_than_s, "dry_run": dry_run}
    if archives is not None:
        order["archives"] = sorted(archives)
    content = json.dumps(order).encode()
    return [_collect(address, certificates, content) for address in addresses]


def _collect(address: str, certificates: Path, order: bytes) -> Collected:
    try:
        with _peer(address, certificates).asked("GET", "/v2/"):
            pass
        peer = _peer(address, certificates)
        with peer.asked("POST", "/inaetics/collect", body=order, timeout_s=COLLECT_S) as answer:
            found: Mapping[str, Any] = json.loads(answer.read())
    except (InaeticsError, ValueError) as error:
        return Collected(address=address, trouble=str(error))
    return Collected(address=address, manifests=tuple(found["manifests"]), bytes=found["bytes"])


def _state(address: str, certificates: Path) -> RegistryState:
    try:
        found: Mapping[str, Any] = _peer(address, certificates).json("/inaetics/state")
        peers = found["peers"]
        troubles = [f"{each['address']}: {each['trouble']}" for each in peers if "trouble" in each and each["answers"]]
        return RegistryState(
            address=address,
            host=found["host"],
            answers=True,
            tags=found["tags"],
            manifests=found["manifests"],
            bytes=found["bytes"],
            free=found["disk"]["free"],
            total=found["disk"]["total"],
            missing=max((each["missing"] for each in peers), default=0),
            trouble="; ".join(troubles),
        )
    except (InaeticsError, OSError, KeyError, TypeError) as error:
        return RegistryState(address=address, trouble=str(error))


def _has(peer: Peer, repository: str, digest: str) -> bool:
    try:
        with peer.asked("HEAD", f"/v2/{repository}/manifests/{digest}", headers={"Accept": MANIFESTS}):
            return True
    except NotFound:
        return False


def _peer(address: str, certificates: Path) -> Peer:
    peer = Peer(address, certificates)
    peer.timeout_s = ANSWER_S
    return peer
