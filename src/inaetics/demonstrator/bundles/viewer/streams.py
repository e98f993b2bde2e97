"""Open pages: one thread writes the same bytes to all of them and waits for none.

Pelix serves each connection with a thread; two hundred of them that wake twice a second cost three times the processor
time of one that writes to all, and a page that does not read holds its thread. So a page's connection is taken from
Pelix once the head of the answer is out, and this thread has them all. Promises: each frame is held in memory once,
whoever still has to read it; a page that takes nothing for `STALLED_S`, or is `BEHIND_S` behind, is dropped (its
browser comes back when it can); one that is closed is let go of at once.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import structlog

from inaetics.errors import Unavailable

from .frames import BEAT

log = structlog.get_logger()

MOST = 500
"""Pages at once: a container may have 1,024 open files."""

STALLED_S = 5.0
VANISHED_S = 10.0
BEHIND_S = 30.0
BEAT_S = 15.0

BUFFER_BYTES = 64 * 1024
"""What the kernel may hold of one page: without a bound it is megabytes, and minutes until a silent page is noticed."""

_LOOK_S = 1.0


@dataclass(slots=True, eq=False)
class _Page:
    """A connection, and what it was not sent yet: bytes and since when they wait."""

    connection: socket.socket
    waiting: deque[tuple[memoryview, float]] = field(default_factory=deque)
    moved_s: float = 0.0
    """When it last took something while something was waiting."""


class Streams:
    """`add` and `publish` may be called from any thread, and what is added or published first is sent first."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._wake_in.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._orders: deque[tuple[_Page | None, bytes]] = deque()
        self._pages: set[_Page] = set()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._ended = False
        self._said_s = time.monotonic()
        self.open = 0
        self.dropped = 0
        self.sent_bytes = 0
        self._thread = threading.Thread(target=self._run, name="viewer-streams", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close all pages. Idempotent."""
        self._stopping.set()
        self._ring()
        self._thread.join(3.0)

    def reserve(self) -> None:
        """Make sure there is room for one more. Raises `Unavailable`."""
        with self._lock:
            if self.open >= MOST or self._stopping.is_set():
                raise Unavailable(f"{self.open} pages are open, and no more than {MOST} can be (close some)")
            self.open += 1

    def release(self) -> None:
        """Give back what was reserved and not added."""
        with self._lock:
            self.open -= 1

    def add(self, connection: socket.socket, first: bytes) -> None:
        """Send `first` and from then on everything published. The connection is ours now."""
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A machine that vanished does not say so: what it does not confirm ends the connection.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(VANISHED_S * 1000))
        self._order(_Page(connection), first)

    def publish(self, frame: bytes) -> None:
        """Send `frame` to all."""
        self._order(None, frame)

    def _order(self, page: _Page | None, data: bytes) -> None:
        with self._lock:
            if not self._ended:
                self._orders.append((page, data))
                self._ring()
                return
        if page is not None:
            page.connection.close()
            self.release()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # it has been rung often enough, or nobody is there any more
            self._wake.send(b".")

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for key, events in self._selector.select(_LOOK_S):
                    self._serve(key.data, events)
                self._follow_orders()
                self._look()
        finally:
            with self._lock:
                self._ended = True
            self._follow_orders()
            for page in list(self._pages):
                self._close(page)
            self._selector.close()
            self._wake_in.close()
            self._wake.close()

    def _serve(self, page: _Page | None, events: int) -> None:
        if page is None:
            _empty(self._wake_in)
        elif page in self._pages:
            if events & selectors.EVENT_READ and not _is_there(page.connection):
                self._close(page)
            elif events & selectors.EVENT_WRITE:
                self._write(page)

    def _follow_orders(self) -> None:
        while self._orders:
            page, data = self._orders.popleft()
            if page is None:
                self._said_s = time.monotonic()
                for each in list(self._pages):
                    self._send(each, data)
            else:
                self._pages.add(page)
                self._selector.register(page.connection, selectors.EVENT_READ, page)
                self._send(page, data)

    def _look(self) -> None:
        """Drop who does not read; say something when nothing was to be said for long."""
        now = time.monotonic()
        for page in [page for page in self._pages if page.waiting]:
            if now - page.moved_s > STALLED_S or now - page.waiting[0][1] > BEHIND_S:
                self.dropped += 1
                log.info("a page that does not read was dropped", waiting=len(page.waiting))
                self._close(page)
        if now - self._said_s > BEAT_S:
            self.publish(BEAT)

    def _send(self, page: _Page, data: bytes) -> None:
        now = time.monotonic()
        if not page.waiting:
            page.moved_s = now
        page.waiting.append((memoryview(data), now))
        if len(page.waiting) == 1:
            self._write(page)

    def _write(self, page: _Page) -> None:
        try:
            while page.waiting:
                data, since = page.waiting[0]
                sent = page.connection.send(data)
                page.moved_s = time.monotonic()
                self.sent_bytes += sent
                if sent < len(data):
                    page.waiting[0] = (data[sent:], since)
                else:
                    page.waiting.popleft()
        except BlockingIOError:  # its buffer is full: the rest waits here
            pass
        except OSError:
            self._close(page)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if page.waiting else 0)
        if self._selector.get_key(page.connection).events != wanted:
            self._selector.modify(page.connection, wanted, page)

    def _close(self, page: _Page) -> None:
        self._pages.discard(page)
        self._selector.unregister(page.connection)
        page.connection.close()
        self.release()


def _empty(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:  # empty
        pass


def _is_there(connection: socket.socket) -> bool:
    """False once the other side closed. A page has nothing to say after its question."""
    try:
        return bool(connection.recv(4096))
    except BlockingIOError:
        return True
    except OSError:
        return False
