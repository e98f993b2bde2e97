"""Threads for calls: made when needed, up to a number, and kept for a while."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

KEPT_S = 10.0
"""How long a thread without work is kept."""

Work = Callable[[], None]


class Workers:
    """Safe from any thread. A thread that is busy when the process ends does not hold it up."""

    def __init__(self, most: int, name: str = "remote call") -> None:
        self._most = most
        self._name = name
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = 0
        self._count = 0
        self._closed = False

    def submit(self, work: Work) -> bool:
        """Let a thread do `work`, at once; False when all are busy."""
        with self._lock:
            if self._closed:
                return False
            if self._idle:
                self._idle -= 1
                self._tasks.put(work)
                return True
            if self._count >= self._most:
                return False
            self._count += 1
        try:
            threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            with self._lock:
                self._count -= 1
            log.error("no thread for a remote call", error=str(error))  # noqa: TRY400 - the words are enough
            return False
        return True

    def close(self) -> None:
        """Take no more work; threads end when they have none. Idempotent."""
        with self._lock:
            self._closed = True
            for _ in range(self._count):
                self._tasks.put(None)

    def _run(self, work: Work | None) -> None:
        while work is not None:
            try:
                work()
            except Exception:
                log.exception("a remote call's thread failed")
            work = self._next()

    def _next(self) -> Work | None:
        with self._lock:
            if self._closed:
                self._count -= 1
                return None
            self._idle += 1
        while True:
            try:
                work = self._tasks.get(timeout=KEPT_S)
            except queue.Empty:
                with self._lock:
                    if self._tasks.empty():
                        self._idle -= 1
                        self._count -= 1
                        return None
            else:
                return work
