"""Copying what another registry has: whole or not at all, and believed only as far as digests prove it."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

from inaetics.containers.replicate_files import RegistryFiles, children, parts
from inaetics.containers.replicate_http import MOST_MANIFEST, PIECE, Answer, Endpoint, Own
from inaetics.containers.replicate_plan import DIGEST
from inaetics.containers.replicate_room import refuse_full
from inaetics.errors import InaeticsError, Unavailable


class Lie(InaeticsError):
    """A registry gave content that is not what its digest says. Nothing of it was kept."""


def copy_manifest(source: Endpoint, own: Own, files: RegistryFiles, repository: str, digest: str) -> int:
    """Bring a manifest here with everything it names; returns how many bytes were fetched.

    Raises `Lie` when the source's content does not fit its digest, and what `Endpoint` raises.
    """
    content, media_type = source.manifest(repository, digest)
    _check(source, repository, digest, hashlib.sha256(content).hexdigest(), len(content), None)
    manifest = _read(source, digest, content)
    fetched = len(content)
    for child in children(manifest):
        fetched += copy_manifest(source, own, files, repository, child["digest"])
    for part in parts(manifest):
        fetched += _copy_blob(source, own, files, repository, part)
    own.put_manifest(repository, digest, content, media_type)
    return fetched


def _read(source: Endpoint, digest: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
        named = [(str(part["digest"]), int(part["size"])) for part in (*parts(found), *children(found))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InaeticsError(f"{digest} at {source.name} is no manifest that can be copied: {error!r}") from error
    if len(content) > MOST_MANIFEST or any(not name.startswith(DIGEST) or size < 0 for name, size in named):
        raise InaeticsError(f"{digest} at {source.name} is no manifest that can be copied")
    manifest: dict[str, Any] = found
    return manifest


def _copy_blob(source: Endpoint, own: Own, files: RegistryFiles, repository: str, part: dict[str, Any]) -> int:
    """Have a blob in `repository`; returns how many bytes were fetched, none when it was on this host already."""
    digest, size = part["digest"], part["size"]
    if _is_here(files, digest, size):
        if own.has_blob(repository, digest):
            return 0
        holder = files.holder(digest)
        if holder is not None and own.mount(repository, digest, holder):
            return 0
    else:
        files.remove_damaged(digest)
    refuse_full(files.root, f"copy {digest} of {repository}", size=size)
    with source.asked("GET", f"/v2/{repository}/blobs/{digest}") as answer:
        own.upload(repository, digest, size, _checked(source, repository, digest, size, answer))
    return int(size)


def _is_here(files: RegistryFiles, digest: str, size: int) -> bool:
    try:
        return files.blob(digest).stat().st_size == size
    except FileNotFoundError:
        return False


def _checked(source: Endpoint, repository: str, digest: str, size: int, answer: Answer) -> Iterator[bytes]:
    """The content piece by piece. The last piece is let go only when all of it is what the digest says."""
    found, count, held = hashlib.sha256(), 0, b""
    told = answer.length
    while piece := _piece(source, answer):
        found.update(piece)
        count += len(piece)
        if held:
            yield held
        held = piece
        if count > size:
            break
    if told is not None and count < told:
        raise Unavailable(f"the registry at {source.name} fell silent after {count} of {told} bytes of {digest}")
    _check(source, repository, digest, found.hexdigest(), count, size)
    yield held


def _piece(source: Endpoint, answer: Answer) -> bytes:
    try:
        return answer.read(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the registry at {source.name} fell silent: {str(error) or type(error).__name__}") from error


def _check(source: Endpoint, repository: str, digest: str, found: str, count: int, size: int | None) -> None:
    if f"{DIGEST}{found}" == digest and size in (None, count):
        return
    raise Lie(
        f"the registry at {source.name} lies: what it gives as {digest} of {repository} is {count} bytes with the"
        f" digest {DIGEST}{found} (its disk or its files are damaged: nothing is copied from it)"
    )
