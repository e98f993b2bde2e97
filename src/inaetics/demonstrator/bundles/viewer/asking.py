"""Services that may hang, called so that nobody waits for them: on threads, each at most once at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import structlog

from inaetics.demonstrator.calls import CALL_FAILED
from inaetics.errors import InaeticsError, Unavailable

log = structlog.get_logger()


class UnderWay(Unavailable):
    """It was begun and has not come to its end in time: it may come about."""


T = TypeVar("T")


class Asker:
    """A service that hangs holds one of `most` threads; the others go on. Threads are made when they are needed."""

    def __init__(self, name: str, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._pending: dict[Hashable, tuple[Future[None], float]] = {}
        """Each with when it began."""
        self._failing: set[Hashable] = set()

    def stop(self) -> None:
        """Begin nothing more; what hangs is left alone."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, key: Hashable, call: Callable[[], None]) -> None:
        """Carry out `call` on a thread, unless the last one for `key` is still under way."""
        with self._lock:
            pending = self._pending.get(key)
            if pending is None or pending[0].done():
                self._pending[key] = (self._pool.submit(self._guarded, key, call), time.monotonic())

    def settle(self, within_s: float) -> None:
        """Wait for those under way, but not longer."""
        with self._lock:
            pending = [future for future, _ in self._pending.values()]
        wait(pending, within_s)

    def waits_s(self, key: Hashable) -> float:
        """For how long the call for `key` has been under way; 0 when none is."""
        with self._lock:
            future, since = self._pending.get(key, (None, 0.0))
        return 0.0 if future is None or future.done() else time.monotonic() - since

    def forget(self, key: Hashable) -> None:
        """There is no such service any more."""
        with self._lock:
            self._pending.pop(key, None)
            self._failing.discard(key)

    def within(self, within_s: float, doing: str, call: Callable[[], T]) -> T:
        """What `call` returns or raises. Raises `Unavailable` when that takes longer, or the service is gone."""
        future = self._pool.submit(call)
        try:
            return future.result(within_s)
        except TimeoutError as error:
            if future.done():  # it was the call's own
                raise Unavailable(f"cannot {doing}: {error}") from error
            if future.cancel():
                raise Unavailable(f"cannot {doing}: too much else is under way (try again in a moment)") from error
            future.add_done_callback(lambda late: _told_late(doing, late))
            raise UnderWay(f"cannot {doing}: no answer within {within_s:g} s (it may still come about)") from error
        except CALL_FAILED as error:
            raise Unavailable(f"cannot {doing}: {error}") from error

    def _guarded(self, key: Hashable, call: Callable[[], None]) -> None:
        try:
            call()
        except CALL_FAILED:
            return  # it is shown as late, and taken away when it is gone
        except InaeticsError as error:
            self._complain(key, str(error))
        except Exception as error:  # noqa: BLE001 - another bundle's mistake must not end the page
            self._complain(key, repr(error))
        else:
            self._failing.discard(key)

    def _complain(self, key: Hashable, words: str) -> None:
        if key not in self._failing:  # once, not twice a second
            log.warning("a service answers wrongly", error=words)
        self._failing.add(key)


def _told_late(doing: str, future: Future[Any]) -> None:
    """Nobody waits for it any more: say what became of it."""
    error = future.exception()
    if error is None:
        log.info("done at last", order=doing)
    else:
        log.warning("an order failed after its answer", order=doing, error=str(error))
