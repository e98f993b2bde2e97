"""Looks after connections whose reading thread is busy with a call: another one reads on when that takes a moment.

It wakes only while calls are carried out, and ever more seldom while all of them are quick: each time it takes the
interpreter from those that work.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from inaetics.node.remote.calls import CurrentCall

MOMENT_S = 0.002
SELDOM_S = 0.02
"""How long it sleeps between two looks at most: so much longer a call that is slow for once may hold up others."""
LESS_OFTEN = 1.25
IDLE_S = 0.05
"""It looks in vain for so long before it sleeps for good."""


class Watched(Protocol):
    """A connection: the calls that its reading thread carries out, and a way to have another thread read on."""

    current: list[CurrentCall]

    def relieve(self) -> None: ...


class Overseer:
    """One thread, from the first call to `close`. Safe from any thread."""

    def __init__(self) -> None:
        self.watched: dict[Watched, None] = {}
        """Those that need not be told of again."""
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, session: Watched) -> None:
        """Look after `session`, whose `current` was just set, until it has none for a while."""
        if session in self.watched:
            return
        self.watched[session] = None
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Idempotent."""
        self._closed = True
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="remote overseer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            idle_s, pause_s = 0.0, MOMENT_S
            while idle_s < IDLE_S and not self._closed:
                time.sleep(pause_s)
                longest_s = self._look()
                idle_s = idle_s + pause_s if longest_s is None else 0.0
                slow = longest_s is not None and longest_s >= MOMENT_S
                pause_s = MOMENT_S if slow else min(LESS_OFTEN * pause_s, SELDOM_S)
            self._rest()

    def _rest(self) -> None:
        """Sleep, unless a call began in this moment and its thread still found its session watched."""
        self._wake.clear()
        watched = list(self.watched)
        self.watched.clear()
        for session in watched:
            if session.current:
                self.watch(session)

    def _look(self) -> float | None:
        """How long the longest call takes by now; None when there is none."""
        now = time.monotonic()
        longest_s = None
        for session in list(self.watched):
            for call in session.current[:1]:
                longest_s = max(longest_s or 0.0, now - call.began)
                if now - call.began >= MOMENT_S:
                    session.relieve()
        return longest_s
