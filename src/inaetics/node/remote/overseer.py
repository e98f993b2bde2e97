"""Looks after connections whose reading thread is busy with a call: another one reads on when that takes a moment.

It wakes only while calls are carried out, and costs nothing for the rest of the time.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from inaetics.node.remote.calls import CurrentCall

MOMENT_S = 0.002
LAST_LOOKS = 25
"""How often it looks in vain before it sleeps."""


class Watched(Protocol):
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
            idle = 0
            while idle < LAST_LOOKS and not self._closed:
                time.sleep(MOMENT_S)
                idle = 0 if self._look() else idle + 1
            self._rest()

    def _rest(self) -> None:
        """Sleep, unless a call began in this moment and its thread still found its session watched."""
        self._wake.clear()
        watched = list(self.watched)
        self.watched.clear()
        for session in watched:
            if session.current:
                self.watch(session)

    def _look(self) -> bool:
        """Whether any is busy."""
        now = time.monotonic()
        busy = False
        for session in list(self.watched):
            for call in session.current[:1]:
                busy = True
                if now - call.began >= MOMENT_S:
                    session.relieve()
        return busy
