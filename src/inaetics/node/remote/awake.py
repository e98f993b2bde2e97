"""Waiting awake: a receiver in the middle of a lively conversation looks again for a moment before it sleeps.

To wake a sleeping thread on an idle processor costs more than everything else in a small call, both its time and its
processor time. When the other side answers within a moment, looking again and again is cheaper than to sleep. It is not
where somebody else wants the processor, perhaps the very one that is to answer, or the interpreter. So it is done only

- when something was received a short while ago, by one thread of a process at a time, never with one processor;
- while no other thread has to do with the connection;
- while it pays: after a look in vain, or one in which another thread or process took its turn from the one that looks,
  receivers sleep for a while; a longer one each time unless it went well in between.

So who calls seldom, beside busy threads or on a busy machine sleeps as ever.
"""

from __future__ import annotations

import os
import socket
import threading
from time import perf_counter, thread_time

AWAKE_S = 300e-6
"""How long it looks: a small call takes a fifth of it when both sides wait awake, two thirds while the other sleeps."""
PROMPT_S = 150e-6
MOST_LATE = 8
"""So many in a row that came later than promptly are like one in vain: the other side is not awake, but busy."""
LIVELY_S = 0.001
"""What was received longer ago does not count."""
TURN_S = 30e-6
"""Looking once takes a tenth of it, unless somebody else takes their turn."""
WELL_S = 0.01
"""It goes well when a conversation went on for so long awake: who wants the interpreter has it after half of that."""
REST_S = 0.002
LONGEST_REST_S = 1.0

_one = threading.Lock()
_several = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) > 1


class Receiver:
    """Receives from `connected`, a blocking socket; for one thread at a time. Raises what the socket raises."""

    __slots__ = ("_last", "_late", "_recv", "_rest_s", "_until", "_well_s")

    def __init__(self, connected: socket.socket) -> None:
        self._recv = connected.recv
        self._last = 0.0
        self._late = 0
        self._well_s = 0.0
        """How long it was awake, and what came was worked upon, since the last rest."""
        self._until = 0.0 if _several else float("inf")
        """When its rest ends."""
        self._rest_s = REST_S

    def receive(self, most: int) -> bytes:
        """As the socket's `recv`, which keeps its own time limit: that begins when this falls asleep."""
        now = perf_counter()
        if now < self._until or now - self._last > LIVELY_S or not _one.acquire(blocking=False):
            data = self._recv(most)
        else:
            try:
                found = self._look(most, now)
            finally:
                _one.release()
            data = self._recv(most) if found is None else found
        self._last = perf_counter()
        return data

    def _look(self, most: int, began: float) -> bytes | None:
        """What came within the time, or None."""
        recv, worked, now, found = self._recv, thread_time(), began, None
        while now - began < AWAKE_S:
            try:
                found = recv(most, socket.MSG_DONTWAIT)
            except BlockingIOError:
                found = None
            before, now = now, perf_counter()
            if now - before > TURN_S and now - began - (thread_time() - worked) > TURN_S / 2:
                break
            if found is not None:
                self._late = self._late + 1 if now - began > PROMPT_S else 0
                self._well_s += now - self._last
                if self._late < MOST_LATE:
                    return found
                break
        self._rest_s = REST_S if self._well_s >= WELL_S else min(2 * self._rest_s, LONGEST_REST_S)
        self._late, self._well_s = 0, 0.0
        self._until = now + self._rest_s
        return found
