"""Tokens that were found right lately, by their hash; pure."""

from __future__ import annotations

import hashlib

KEEP_S = 5.0
"""So long a token that is the cluster's no more still moves sliders."""

MOST = 100


class Permits:
    """Remembers what was permitted, never what was refused, and no token itself."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def knows(self, token: str, *, now_s: float) -> bool:
        return self._until.get(_hash(token), 0.0) > now_s

    def note(self, token: str, *, now_s: float) -> None:
        """`token` is right now."""
        self._until = {key: until for key, until in self._until.items() if until > now_s}
        if len(self._until) < MOST:
            self._until[_hash(token)] = now_s + KEEP_S


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
