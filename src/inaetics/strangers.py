"""Connections whose other end has not shown yet who it is: a share of their own, and seconds to do so.

Anybody who reaches a port can open connections there and say nothing. A server that speaks mutual TLS gives them this
share until they have shaken hands, and counts those of the cluster apart: so strangers shut nobody out. When there are
too many, the oldest goes of the address that has most of them; a handshake takes milliseconds, so whoever means it is
through long before it is the oldest.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from typing import Any

from inaetics.override import override

HANDSHAKE_S = 5.0
PART_S = 1.0
"""How long one that is refused may take to read why."""


class Strangers:
    """At most `most` at once. Safe from any thread.

    Who shows otherwise than by TLS who it is, is counted in by `admit` and out by `leave`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._there: dict[socket.socket, str] = {}
        """The oldest first, and from where each comes."""

    def __len__(self) -> int:
        return len(self._there)

    def enter(self, connected: socket.socket, address: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Count a connection in, from `address`; waits for nothing. Raises `OSError` and `ValueError`.

        What it returns goes to `shake_hands`, or to `leave` when that cannot be.
        """
        connected.settimeout(HANDSHAKE_S)
        tls = context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
        self.admit(tls, address)
        return tls

    def admit(self, connected: socket.socket, address: str) -> None:
        """Count a connection in, from `address`. When there are too many, the oldest ends."""
        with self._lock:
            self._there[connected] = address
            oldest = self._oldest() if len(self._there) > self._most else None
            if oldest is not None:
                del self._there[oldest]
        if oldest is not None:
            _cut(oldest)

    def shake_hands(self, tls: ssl.SSLSocket) -> None:
        """Let the other end show who it is. Raises `OSError` or `ValueError` after closing a connection that did not.

        Afterwards the connection is none of a stranger.
        """
        try:
            tls.do_handshake()
        except (OSError, ValueError):  # SSLError is an OSError
            _part(tls)
            raise
        finally:
            self.leave(tls)

    def leave(self, connected: socket.socket) -> None:
        """Count a connection out. Idempotent."""
        with self._lock:
            self._there.pop(connected, None)

    def _oldest(self) -> socket.socket:
        """The oldest of the address that has most of them."""
        counts = Counter(self._there.values())
        most = max(counts.values())
        return next(connected for connected, address in self._there.items() if counts[address] == most)


class GuardedServer(ThreadingMixIn, TCPServer):
    """Speaks mutual TLS, a thread for each connection, and strangers keep none of the cluster's own waiting.

    Without a `context` it speaks no TLS, and nobody is a stranger. The handshake is made on the connection's thread. Of
    those that have shown who they are `at_once` are served, `waiting` more wait for one of these to end, and the next
    is closed.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(
        self,
        at: tuple[str, int],
        handler: type[BaseRequestHandler],
        *,
        context: ssl.SSLContext | None,
        strangers: int,
        at_once: int,
        waiting: int = 0,
    ) -> None:
        self._context = context
        self._strangers = Strangers(strangers)
        self._known = threading.BoundedSemaphore(at_once + waiting)
        self._served = threading.BoundedSemaphore(at_once)
        super().__init__(at, handler)

    def turned_away(self, client: str, error: Exception) -> None:
        """Told of a connection from the address `client` that did not show who it is."""

    def crowded(self, client: str) -> None:
        """Told of a connection from the address `client` that was one too many."""

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                request = self._strangers.enter(request, client_address[0], self._context)
        except (OSError, ValueError) as error:
            self.turned_away(client_address[0], error)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            if isinstance(request, ssl.SSLSocket):
                self._strangers.leave(request)
            request.close()
            raise

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            if isinstance(request, ssl.SSLSocket):
                self._strangers.shake_hands(request)
        except (OSError, ValueError) as error:
            self.turned_away(client_address[0], error)
            return
        if not self._known.acquire(blocking=False):
            self.crowded(client_address[0])
            request.close()
            return
        try:
            with self._served:
                super().process_request_thread(request, client_address)
        finally:
            self._known.release()


def _cut(connected: socket.socket) -> None:
    """End a connection on which another thread waits: that one closes it."""
    with suppress(OSError):  # it has ended by itself
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _part(tls: ssl.SSLSocket) -> None:
    """Close a connection so that the other end reads why: with words of its unread, the kernel would cut it off."""
    end = time.monotonic() + PART_S
    with suppress(OSError):  # it went away, or sent what is no TLS: nobody reads why
        socket.socket.shutdown(tls, socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            tls.settimeout(left)
            if not socket.socket.recv(tls, 65536):
                break
    tls.close()
