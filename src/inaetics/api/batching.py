"""Cuts many entries into the bodies of few requests. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from inaetics.api.wire import BatchEntry

BODY_BYTES = 900_000
"""Below what the API accepts as a body."""


def batch_bodies(entries: Sequence[BatchEntry], *, limit: int = BODY_BYTES) -> Iterator[bytes]:
    """Yield bodies of at most `limit` bytes (a single larger entry is alone in its own); each has a text only once."""
    pieces: list[bytes] = []
    texts: set[str] = set()
    size = 0
    for entry in entries:
        piece = msgspec.json.encode(_lean(entry, texts))
        if pieces and size + len(piece) > limit:
            yield _body(pieces)
            pieces, texts, size = [], set(), 0
            piece = msgspec.json.encode(entry)
        pieces.append(piece)
        size += len(piece) + 1
        if entry.text is not None:
            texts.add(entry.text)
    if pieces:
        yield _body(pieces)


def _lean(entry: BatchEntry, texts: set[str]) -> BatchEntry:
    """The entry with its text's hash, where the text is in the same body already."""
    if entry.text is None or entry.text not in texts:
        return entry
    import hashlib  # takes longer than the rest of a command that needs none

    return msgspec.structs.replace(entry, text=None, hash=hashlib.sha256(entry.text.encode()).hexdigest())


def _body(pieces: Sequence[bytes]) -> bytes:
    return b'{"units":[' + b",".join(pieces) + b"]}"
