"""What an agent was told of load, mode and cost: so that a page that comes later need not ask people again."""

from __future__ import annotations

import threading
import time

from inaetics.demonstrator.api import Word


class Told:
    """The last word for each method. Safe from any thread.

    Producers and processors note all of it, also what concerns only the others: as long as one of them lives, it is
    known what people wanted. Ages are by a steady clock, so hosts' clocks play no part.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._words: dict[str, tuple[float | str, float]] = {}

    def note(self, method: str, value: float | str) -> None:
        with self._lock:
            self._words[method] = (value, time.monotonic())

    def words(self) -> list[Word]:
        """Each with its age."""
        with self._lock:
            now = time.monotonic()
            return [Word(method, value, now - at_s) for method, (value, at_s) in self._words.items()]
