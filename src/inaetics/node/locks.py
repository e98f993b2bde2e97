"""Locks that can be taken away from a thread that hangs.

Pelix calls bundles while it holds its re-entrant locks: a component whose ``@Validate`` never returns keeps its own
lock, and a component factory being removed keeps iPOPO's. Whoever needs one of them next (the deployer, discovery, the
shell) would wait for ever, so one bad bundle would be the end of the whole agent. `break_locks` makes Pelix use the
locks below instead. They behave as `threading.RLock`, and besides

- `rob(thread)` frees everything a thread holds; what it releases later is not its own any more and is left alone;
- `condemn(thread)` makes each later attempt of it to take a lock raise `Abandoned`, so that a thread that comes back
  long after its bundle was given up cannot register anything for it.

`waits_for` says who keeps a thread waiting. A lock costs about half a microsecond more than Pelix's own.
"""

from __future__ import annotations

import importlib
import threading
import weakref
from types import TracebackType
from typing import Any

MODULES = (
    "pelix.framework",
    "pelix.internals.registry",
    "pelix.ipopo.core",
    "pelix.ipopo.instance",
    "pelix.ipopo.handlers.requires",
    "pelix.ipopo.handlers.requiresbroadcast",
    "pelix.ipopo.handlers.requiresmap",
    "pelix.ipopo.waiting",
    "pelix.rsa.remoteserviceadmin",
)
"""Those that may call a bundle's code while they hold a lock."""

_guard = threading.RLock()
"""Changes of any lock's owner; held for a few instructions, in which the collector may run a finalizer that locks."""
_waiting: dict[int, BreakableLock] = {}
_condemned: dict[int, threading.Thread] = {}
"""By number; a number may be given again, to another thread."""


class Abandoned(BaseException):
    """Raised in a thread that was given up. Not an `Exception`: nothing but the end of the thread is of use."""


class BreakableLock:
    """See the module. Re-entrant; use it with ``with``."""

    def __init__(self) -> None:
        self._inner = threading.Lock()
        self._owner: int | None = None
        self._count = 0
        with _guard:
            _all.add(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = threading.get_ident()
        with _guard:
            if self._owner == me:
                self._count += 1
                return True
        if not self._take(me, blocking, timeout):
            return False
        if me in _condemned and _is_condemned(me):
            self._inner.release()
            raise Abandoned
        with _guard:
            self._owner, self._count = me, 1
        return True

    def release(self) -> None:
        with _guard:
            if self._owner != threading.get_ident():
                return  # it was taken from us
            self._count -= 1
            if not self._count:
                self._owner = None
                self._inner.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, me: int, blocking: bool, timeout: float) -> bool:
        if self._inner.acquire(blocking=False):
            return True
        if not blocking:
            return False
        _waiting[me] = self
        try:
            return self._inner.acquire(timeout=timeout)
        finally:
            del _waiting[me]


_all: weakref.WeakSet[BreakableLock] = weakref.WeakSet()


def waits_for(thread: int) -> int:
    """The thread at the end of the chain of those that wait for one another's locks; `thread` when it waits not."""
    seen = {thread}
    while (lock := _waiting.get(thread)) is not None and (owner := lock._owner) is not None and owner not in seen:
        seen.add(owner)
        thread = owner
    return thread


def rob(thread: int) -> int:
    """Free every lock that `thread` holds; returns how many those were."""
    taken = 0
    with _guard:
        for lock in _all:
            if lock._owner == thread:
                lock._owner, lock._count = None, 0
                lock._inner.release()
                taken += 1
    return taken


def condemn(thread: threading.Thread) -> None:
    """Let `thread` take no lock any more."""
    if thread.ident is not None:
        _condemned[thread.ident] = thread


def _is_condemned(me: int) -> bool:
    """Whether the calling thread is the one that was condemned under this number."""
    if _condemned.get(me) is threading.current_thread():
        return True
    _condemned.pop(me, None)
    return False


class _Threading:
    """The module `threading` with another `RLock`, for the modules that call bundles."""

    RLock = BreakableLock

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


def break_locks() -> None:
    """Let Pelix make breakable locks from now on. Call it before a framework is made. Idempotent."""
    for name in MODULES:
        module: Any = importlib.import_module(name)
        if module.threading is threading:
            module.threading = _Threading()
