"""Memory for large frames, shared by all connections of a server: who finds none left waits before receiving on."""

from __future__ import annotations

import threading

MAX_HELD = 256 * 1024 * 1024
"""Bytes of large frames that are being received or carried out at once, four of the largest."""
LARGE = 1024 * 1024
"""Smaller frames are not counted: the number of connections and of calls at once bounds them."""


class Budget:
    """Safe from any thread."""

    def __init__(self, most: int = MAX_HELD) -> None:
        self._most = most
        self._held = 0
        self._changed = threading.Condition()

    def take(self, size: int, within_s: float) -> bool:
        """Wait for room for `size` bytes; False when there was none in time. One that is too large comes alone."""
        with self._changed:
            fits = self._changed.wait_for(lambda: not self._held or self._held + size <= self._most, within_s)
            if fits:
                self._held += size
            return fits

    def release(self, size: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()
