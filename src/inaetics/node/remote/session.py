"""One caller's connection, on the provider's side.

The thread that reads the connection also carries out its calls: a quick call crosses no thread. So that no call waits
behind a slow one, a method known to be slow is given to another thread; and when a call takes longer than a moment, the
overseer lets another thread read on. So calls may overtake each other: who needs an order waits for each.

Answers of calls that came together are sent together.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import structlog

from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.node.remote.budget import LARGE, Budget
from inaetics.node.remote.calls import CurrentCall, local
from inaetics.node.remote.endpoints import SLOW_S, Endpoint, Endpoints, Method, Refused
from inaetics.node.remote.overseer import Overseer
from inaetics.node.remote.stream import Stream
from inaetics.node.remote.wire import (
    BUSY,
    CANCELLED,
    RAISED,
    STOPPING,
    UNSENDABLE,
    WINDOW,
    Answer,
    Call,
    Cancel,
    Failure,
    Frames,
    Message,
    OneWay,
    Ping,
    Reply,
    encode,
)
from inaetics.node.remote.workers import Workers

log = structlog.get_logger()

SEND_S = 10.0
"""A caller that takes no answers for so long is closed."""
FRAME_S = 30.0
"""A caller whose frame stops in the middle for so long is closed."""
HELD_BACK = 64
"""Answers that wait for each other at most."""

_Request = Call | OneWay


class Session:
    """Serves one connection after the Hellos. `closed` is called once at its end."""

    def __init__(
        self,
        stream: Stream,
        frames: Frames,
        caller: str,
        *,
        endpoints: Endpoints,
        budget: Budget,
        readers: Workers,
        workers: Workers,
        overseer: Overseer,
        closed: Callable[[Session], None],
    ) -> None:
        self._stream = stream
        self._frames = frames
        self._caller = caller
        self._endpoints = endpoints
        self._budget = budget
        self._taken = 0
        self._readers = readers
        self._workers = workers
        self._overseer = overseer
        self._watched = overseer.watched
        self._closed = closed
        self._todo: deque[tuple[CurrentCall, _Request]] = deque()
        self._answers: list[bytes] = []
        self._open: dict[int, CurrentCall] = {}
        self._stopping = False
        self._now = 0.0
        self.current: list[CurrentCall] = []
        """The call that the reading thread carries out. Whoever takes it out reads on."""

    @property
    def busy(self) -> bool:
        """Whether calls of it are under way or waiting."""
        return bool(self._open or self._todo or self.current)

    def take(self, messages: list[Message]) -> None:
        """Take in what came with the Hello; before `serve`."""
        self._sort(messages)

    def stop_taking(self) -> None:
        """Refuse calls from now on; those under way are answered."""
        self._stopping = True

    def close(self) -> None:
        """Close the connection; the reading thread ends the session. Idempotent."""
        self._stream.close()

    def serve(self) -> None:
        """Read and carry out calls until the connection ends or another thread has taken over."""
        try:
            while self._todo or self._read():
                if not self._carry_out(*self._todo.popleft()):
                    return
        except (OSError, InaeticsError) as error:
            log.debug("connection ended", caller=self._caller, error=str(error))
        self._end()

    def relieve(self) -> None:
        """Let another thread read on."""
        self._readers.submit(self._take_over)

    def _take_over(self) -> None:
        try:
            self.current.pop()
        except IndexError:
            return  # it reads again
        self.serve()

    def _read(self) -> bool:
        """Receive until there is something to do; False at the end."""
        frames = self._frames
        while not self._todo:
            if self._answers:
                self._flush()
            data = self._stream.receive(frames.chunk, within_s=FRAME_S if frames.held else None)
            if not data:
                return False
            message = frames.only(data)
            if message is not None:
                self._sort([message])
            else:
                self._sort(frames.feed(data))
                self._weigh()
        return True

    def _weigh(self) -> None:
        """Reckon a large frame: from when it is announced until its call is over. Waits while there is no room."""
        if self._taken and self._frames.announced != self._taken:
            for call, _ in list(self._todo)[:1]:  # it came whole; whatever it is, it came first
                call.weight, self._taken = self._taken, 0
            self._release(self._taken)
        if not self._taken and self._frames.announced > LARGE:
            if not self._budget.take(self._frames.announced, FRAME_S):
                raise Unavailable("no memory for another large frame")
            self._taken = self._frames.announced

    def _release(self, taken: int) -> None:
        if taken:
            self._budget.release(taken)
        self._taken = 0

    def _sort(self, messages: list[Message]) -> None:
        """Line calls up; a cancel overtakes the calls before it."""
        now = self._now = time.monotonic()
        for message in messages:
            if type(message) is Call:
                deadline = now + message.within_ms / 1000 if message.within_ms else math.inf
                self._line_up(message, CurrentCall(self._caller, deadline, now))
            else:
                self._sort_other(message)

    def _sort_other(self, message: Message) -> None:
        match message:
            case OneWay():
                self._todo.append((CurrentCall(self._caller, math.inf), message))
            case Cancel():
                call = self._open.get(message.id)
                if call is not None:
                    call.cancel()
            case Ping():
                known = not self._stopping and self._endpoints.has(message.endpoint)
                self._answers.append(encode(Answer(message.id, known)))
            case _:
                raise InvalidInput(f"a caller sends no {type(message).__name__}")

    def _line_up(self, message: Call, call: CurrentCall) -> None:
        if self._stopping:
            self._refuse(message.id, STOPPING, "the provider is stopping")
        elif len(self._open) >= WINDOW:
            self._refuse(message.id, BUSY, f"more than {WINDOW} calls at once")
        elif message.id in self._open:
            raise InvalidInput(f"two calls at once have the id {message.id}")
        else:
            self._open[message.id] = call
            self._todo.append((call, message))

    def _refuse(self, number: int, reason: int, words: str) -> None:
        self._answers.append(encode(Failure(number, reason, "", words)))

    def _flush(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            self._stream.send(answers[0] if len(answers) == 1 else b"".join(answers), within_s=SEND_S)

    def _carry_out(self, call: CurrentCall, request: _Request) -> bool:
        """Carry out a call, here or on another thread. False when another thread has taken over reading."""
        try:
            endpoint = self._endpoints.find(request.endpoint)
            method = endpoint.method(request.method)
        except Refused as refused:
            self._hold_back(self._over(call, request, _failure(request, refused.reason, "", str(refused))))
            return True
        if not method.quick and self._workers.submit(partial(self._apart, call, request, endpoint, method)):
            return True
        began = call.began = self._now
        self.current.append(call)
        if self not in self._watched:
            self._overseer.watch(self)
        reply = self._perform(call, request, endpoint, method.call)
        self._now = now = time.monotonic()
        if now - began >= SLOW_S or not method.quick:
            method.took(now - began)
        try:
            self.current.pop()
        except IndexError:
            self._send(reply)
            return False  # another thread reads
        self._hold_back(reply)
        return True

    def _apart(self, call: CurrentCall, request: _Request, endpoint: Endpoint, method: Method) -> None:
        began = time.monotonic()
        reply = self._perform(call, request, endpoint, method.call)
        method.took(time.monotonic() - began)
        self._send(reply)

    def _perform(
        self, call: CurrentCall, request: _Request, endpoint: Endpoint, method: Callable[..., Any]
    ) -> bytes | None:
        """Carry out a call; returns its answer, or None when there is none (yet)."""
        if call.cancelled or self._now >= call.deadline:
            return self._over(call, request, _failure(request, CANCELLED, "", "the caller had given up"))
        local.call = call
        try:
            try:
                endpoint.begin(call)
            except Refused:  # withdrawn since it was found: perhaps it has a successor
                endpoint = self._endpoints.find(request.endpoint)
                method = endpoint.method(request.method).call
                endpoint.begin(call)
            try:
                result = method(*request.args, **request.kwargs)
                if isinstance(result, Future):
                    return self._answer_later(call, request, endpoint, result)
            finally:
                if call.future is None:
                    endpoint.end(call)
        except Refused as refused:
            reply = _failure(request, refused.reason, "", str(refused))
        except BaseException as error:  # noqa: BLE001 - a provider may raise anything; the caller is told
            endpoint.raised += 1
            log.debug("remote call raised", method=request.method, error=repr(error))
            reply = _failure(request, RAISED, type(error).__name__, str(error))
        else:
            reply = _answer(request, result)
        finally:
            local.call = None
        return self._over(call, request, reply)

    def _answer_later(
        self, call: CurrentCall, request: _Request, endpoint: Endpoint, future: Future[Any]
    ) -> bytes | None:
        """The service returned a future: its result is the answer, and no thread waits for it."""
        call.future = future

        def done(future: Future[Any]) -> None:
            endpoint.end(call)
            if future.cancelled():
                reply = _failure(request, RAISED, "CancelledError", "the call was cancelled")
            elif (error := future.exception()) is not None:
                endpoint.raised += 1
                reply = _failure(request, RAISED, type(error).__name__, str(error))
            else:
                reply = _answer(request, future.result())
            self._send(self._over(call, request, reply))

        future.add_done_callback(done)
        if call.given_up:
            future.cancel()
        return None

    def _over(self, call: CurrentCall, request: _Request, reply: bytes | None) -> bytes | None:
        """A call is no longer under way."""
        if call.weight:
            self._budget.release(call.weight)
        if isinstance(request, Call):
            self._open.pop(request.id, None)
        return reply

    def _hold_back(self, reply: bytes | None) -> None:
        if reply is not None:
            self._answers.append(reply)
        if len(self._answers) >= HELD_BACK:
            self._flush()

    def _send(self, reply: bytes | None) -> None:
        """Send from a thread that does not read."""
        if reply is None:
            return
        try:
            self._stream.send(reply, within_s=SEND_S)
        except OSError as error:
            log.debug("answer not sent", caller=self._caller, error=str(error))
            self._stream.close()

    def _end(self) -> None:
        self._stream.close()
        for call in list(self._open.values()):
            call.cancel()
        for call, _ in self._todo:
            if call.weight:
                self._budget.release(call.weight)
        self._todo.clear()
        self._release(self._taken)
        self._closed(self)


def _failure(request: _Request, reason: int, kind: str, message: str) -> bytes | None:
    if isinstance(request, OneWay):
        log.warning("one-way call failed", method=request.method, error=f"{kind} {message}".strip())
        return None
    return encode(Failure(request.id, reason, kind, message))


def _answer(request: _Request, result: Any) -> bytes | None:
    if isinstance(request, OneWay):
        return None
    reply: Reply = Answer(request.id, result)
    try:
        return encode(reply)
    except InvalidInput as error:
        return encode(Failure(request.id, UNSENDABLE, "InvalidInput", f"{request.method}: {error}"))
