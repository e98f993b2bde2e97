"""One connection to a provider with any number of calls in flight.

Who waits for an answer reads the connection itself: the first that finds nobody reading leads, hands others their
answers, and when it has its own, lets one of those that wait lead on. So a single caller's answer crosses no thread.
Futures wait without a thread of theirs; while there are some, one thread of the link leads when no caller does.

The provider says in its Hello how many calls it takes at once. Further callers wait for room within their time: a
provider that is full slows its callers, and neither side keeps more than that.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from inaetics.errors import InvalidInput
from inaetics.node.remote.pending import Broken, PendingCall
from inaetics.node.remote.stream import NotSent, Stream
from inaetics.node.remote.wire import Answer, Cancel, Failure, Frames, Message, Reply, encode

SWEEP_S = 0.05
"""How exactly the time of a future is kept."""


_REPLIES = (Answer, Failure)


_Outcome = tuple[PendingCall, Reply | Broken | TimeoutError]
_Inbox = queue.SimpleQueue[Reply | Broken | None]
"""Where a caller that does not lead waits; None asks it to lead."""


class Link:
    """A connection after the Hellos. `ended` is called once, from any thread, when the other side ended it."""

    def __init__(self, stream: Stream, frames: Frames, *, window: int, ended: Callable[[str], None]) -> None:
        self._stream = stream
        self._frames = frames
        self._ended = ended
        self._lock = threading.Lock()
        self._room = max(window - 1, 1)  # one place is the leading caller's
        self._free = threading.Condition(self._lock)
        self._queueing = 0
        self._reading = threading.Lock()
        self._waiting: dict[int, _Inbox] = {}
        self._futures: dict[int, PendingCall] = {}
        self._given_up: set[int] = set()
        self._news: queue.SimpleQueue[list[_Outcome] | None] = queue.SimpleQueue()
        self._asked = False
        self._reader: threading.Thread | None = None
        self._retiring = False
        self.used = time.monotonic()
        self.end = ""
        """Why nothing can be called through it any more; empty while something can."""

    def call(self, frame: bytes, number: int, deadline: float, within_s: float) -> Reply:
        """Send a call and wait for what answers it until `deadline`, which is `within_s` from now.

        Raises `NotSent`, `Broken`, and `TimeoutError` at the deadline (the provider is told that nobody waits).
        """
        if self._reading.acquire(blocking=False):
            return self._call_leading(frame, number, deadline, within_s)
        inbox: _Inbox = queue.SimpleQueue()
        self._enter(number, self._waiting, inbox, deadline)
        self._send(frame, number, self._waiting, within_s)
        try:
            if self._reading.acquire(blocking=False):
                return self._lead(number, inbox, deadline)
            return self._follow(number, inbox, deadline)
        except TimeoutError:
            self.give_up(number)
            self._hand_over()  # it may have been asked to lead in this moment
            raise

    def call_later(self, frame: bytes, number: int, future: PendingCall, deadline: float) -> None:
        """Send a call whose answer settles `future`. Raises `NotSent`; anything later is the future's."""
        future.number, future.deadline, future.give_up = number, deadline, self.give_up
        self._enter(number, self._futures, future, deadline)
        try:
            self._send(frame, number, self._futures, deadline - time.monotonic())
        except TimeoutError as error:
            future.settle(error)
            return
        if self._reader is None:
            self._start_reader()
        if not self._reading.locked():  # else who reads sees, when it stops, that somebody must go on
            self._ask_reader()

    def send(self, frame: bytes, deadline: float) -> None:
        """Send what nobody answers. Raises `NotSent`, `TimeoutError`."""
        self._send(frame, 0, {}, deadline - time.monotonic())

    def give_up(self, number: int) -> None:
        """Nobody waits for this call any more: tell the provider. Its place is free when the provider answers."""
        if self._waiting.pop(number, None) is None and self._futures.pop(number, None) is None:
            return  # answered in this moment
        self._given_up.add(number)
        self._tell_cancelled(number)

    def fresh(self) -> bool:
        """Whether it seems to live: what came while nobody waited is taken in, the end of the stream is seen."""
        if not self.end and self._reading.acquire(blocking=False):
            try:
                while self._stream.readable():
                    self._take_in(SWEEP_S, 0, None)
            except (OSError, Broken):
                pass  # it ended, or was closed in this moment
            finally:
                self._stop_reading()
        self.used = time.monotonic()
        return not self.end

    def close(self) -> None:
        """Close it for good; calls in flight are `Broken`. Idempotent."""
        self._finish("it was closed here", tell=False)

    def retire(self) -> None:
        """Close it when all that is in flight is answered."""
        self._retiring = True
        if self._reading.acquire(blocking=False):
            self._stop_reading()

    def _enter(self, number: int, where: dict[int, Any], entry: object, deadline: float) -> None:
        """Wait for room, and stand among those that expect an answer. Raises `NotSent`."""
        with self._lock:
            if self._room <= 0 and not self._wait_for_room(deadline):
                raise NotSent("the provider has too much to do: no room for another call")
            self._room -= 1
        where[number] = entry

    def _wait_for_room(self, deadline: float) -> bool:
        self._queueing += 1
        try:
            return self._free.wait_for(lambda: self._room > 0 or bool(self.end), max(deadline - time.monotonic(), 0))
        finally:
            self._queueing -= 1

    def _leave(self) -> None:
        with self._lock:
            self._room += 1
            if self._queueing:
                self._free.notify()

    def _send(self, frame: bytes, number: int, where: dict[int, Any], within_s: float) -> None:
        try:
            self._check()
            self._stream.send(frame, within_s=within_s)
        except TimeoutError:
            self.give_up(number)
            raise
        except OSError as error:
            if where.pop(number, None) is not None:
                self._leave()
            if not isinstance(error, NotSent) or error.errno:
                self._finish(error.strerror or str(error))
            raise

    def _call_leading(self, frame: bytes, number: int, deadline: float, within_s: float) -> Reply:
        """As `call`, by a thread that found nobody reading: what it waits for needs no place among the others'."""
        finished: list[_Outcome] = []
        try:
            if self.end:
                self._check()
            self._stream.begin(frame)
            while (reply := self._take_in(within_s, number, finished)) is None:
                within_s = deadline - time.monotonic()
        except TimeoutError:
            self._abandon(number)
            raise
        except NotSent as error:
            if error.errno:
                self._finish(error.strerror or str(error))
            raise
        finally:
            self._stop_reading()
            if finished:
                self._news.put(finished)
        return reply

    def _abandon(self, number: int) -> None:
        """Give up a call that had no place: it has one until it is answered."""
        with self._lock:
            self._room -= 1
        self._given_up.add(number)
        self._tell_cancelled(number)

    def _tell_cancelled(self, number: int) -> None:
        with suppress(OSError):  # the connection has ended, which tells it too
            self._stream.send(encode(Cancel(number)), within_s=0.0)

    def _lead(self, number: int, inbox: _Inbox, deadline: float) -> Reply:
        """Read until this call is answered. The right to read is held, and passed on at the end."""
        finished: list[_Outcome] = []
        try:
            while True:
                while not inbox.empty():  # it may have come before we led, behind a request to lead
                    if (outcome := inbox.get()) is not None:
                        return _reply(outcome)
                mine = self._take_in(deadline - time.monotonic(), number, finished)
                if mine is not None:
                    if self._waiting.pop(number, None) is not None:
                        self._leave()
                    return mine
        finally:
            self._stop_reading()
            if finished:
                self._news.put(finished)

    def _follow(self, number: int, inbox: _Inbox, deadline: float) -> Reply:
        while True:
            try:
                outcome = inbox.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty as error:
                raise TimeoutError("the other side says nothing") from error
            if outcome is not None:
                return _reply(outcome)
            if self._reading.acquire(blocking=False):
                return self._lead(number, inbox, deadline)

    def _check(self) -> None:
        if self.end:
            raise NotSent(self.end)

    def _take_in(self, within_s: float, number: int, finished: list[_Outcome] | None) -> Reply | None:
        """Receive once; give everybody their answers, and return the one for `number`. Raises `Broken`."""
        mine: Reply | None = None
        try:
            data = self._stream.receive(self._frames.chunk, within_s=within_s)
            message = self._frames.only(data)
            if type(message) is Answer and message.id == number:
                return message  # nearly always
            for reply in self._replies(data, message):
                if reply.id == number and mine is None:
                    mine = reply
                else:
                    self._deliver(reply, finished)
        except TimeoutError:
            raise
        except (OSError, InvalidInput, Broken) as error:
            reason = str(error) if not isinstance(error, OSError) else error.strerror or str(error)
            self._finish(reason)
            if mine is None:
                raise Broken(reason) from error
        return mine

    def _replies(self, data: bytes, message: Message | None) -> list[Reply]:
        if not data:
            raise Broken("the provider went away")
        messages = self._frames.feed(data) if message is None else [message]
        for each in messages:
            if not isinstance(each, _REPLIES):
                raise Broken(f"the provider sent a {type(each).__name__}")
        return cast("list[Reply]", messages)

    def _deliver(self, message: Reply, finished: list[_Outcome] | None) -> None:
        inbox = self._waiting.pop(message.id, None)
        if inbox is not None:
            inbox.put(message)
        elif (future := self._futures.pop(message.id, None)) is not None:
            if finished is None:
                self._news.put([(future, message)])
            else:
                finished.append((future, message))
        elif message.id in self._given_up:
            self._given_up.discard(message.id)
        else:
            raise Broken(f"an answer out of turn ({message.id})")
        self._leave()

    def _stop_reading(self) -> None:
        """Pass the right to read on."""
        self._reading.release()
        if self._waiting or self._futures:
            self._hand_over()
        elif self._retiring:
            self.close()

    def _hand_over(self) -> None:
        """Ask somebody who waits to lead."""
        while self._waiting:
            try:
                inbox = next(iter(self._waiting.values()))
            except (RuntimeError, StopIteration):  # it changed in this moment
                continue
            inbox.put(None)
            return
        if self._futures:
            self._ask_reader()

    def _ask_reader(self) -> None:
        """Ask the thread of futures to lead, unless it was asked and has not looked yet."""
        if not self._asked:
            self._asked = True
            self._news.put(None)

    def _finish(self, reason: str, *, tell: bool = True) -> None:
        """End it, once; everybody who waits learns why."""
        with self._lock:
            if self.end:
                return
            self.end = reason or "the connection broke"
            self._free.notify_all()
        self._stream.close()
        broken = Broken(self.end)
        for number in list(self._waiting):
            inbox = self._waiting.pop(number, None)
            if inbox is not None:
                inbox.put(broken)
        outcomes: list[_Outcome] = []
        for number in list(self._futures):
            future = self._futures.pop(number, None)
            if future is not None:
                outcomes.append((future, broken))
        self._news.put(outcomes)
        if tell:
            self._ended(self.end)

    def _start_reader(self) -> None:
        with self._lock:
            if self._reader is None:
                self._reader = threading.Thread(target=self._read, name="remote answers", daemon=True)
                self._reader.start()

    def _read(self) -> None:
        """Settle futures; lead while there are some and nobody else does."""
        while True:
            try:
                task = self._news.get(timeout=SWEEP_S if self._futures else None)
            except queue.Empty:
                self._sweep()
                continue
            if task is None:
                self._asked = False
                if self._reading.acquire(blocking=False):
                    self._lead_for_futures()
            else:
                _settle(task)
            if self.end and self._news.empty() and not self._futures:
                return

    def _lead_for_futures(self) -> None:
        finished: list[_Outcome] = []
        try:
            while self._futures and not finished:
                with suppress(TimeoutError):  # nothing came: look who has waited too long
                    self._take_in(SWEEP_S, 0, finished)
                self._sweep()
        except Broken:
            pass  # everybody has been told
        finally:
            self._stop_reading()
        _settle(finished)  # nothing is held now: callbacks may call

    def _sweep(self) -> None:
        """Settle the futures whose time is over."""
        now = time.monotonic()
        for number, future in list(self._futures.items()):
            if future.deadline <= now:
                self.give_up(number)
                future.settle(TimeoutError("the other side says nothing"))


def _settle(outcomes: list[_Outcome]) -> None:
    for future, outcome in outcomes:
        future.settle(outcome)


def _reply(outcome: Reply | Broken) -> Reply:
    if isinstance(outcome, Broken):
        raise outcome
    return outcome
