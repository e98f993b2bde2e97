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

HANDSHAKE_S = 5.0
PART_S = 1.0
"""How long one that is refused may take to read why."""


class Strangers:
    """At most `most` at once. Safe from any thread."""

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
        with self._lock:
            self._there[tls] = address
            oldest = self._oldest() if len(self._there) > self._most else None
            if oldest is not None:
                del self._there[oldest]
        if oldest is not None:
            _cut(oldest)
        return tls

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

    def leave(self, tls: ssl.SSLSocket) -> None:
        """Count a connection out. Idempotent."""
        with self._lock:
            self._there.pop(tls, None)

    def _oldest(self) -> socket.socket:
        """The oldest of the address that has most of them."""
        counts = Counter(self._there.values())
        most = max(counts.values())
        return next(connected for connected, address in self._there.items() if counts[address] == most)


def _cut(connected: socket.socket) -> None:
    """End a connection on which another thread waits: that one closes it."""
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _part(tls: ssl.SSLSocket) -> None:
    """Close a connection so that the other end reads why: with words of its unread, the kernel would cut it off."""
    end = time.monotonic() + PART_S
    with suppress(OSError):
        socket.socket.shutdown(tls, socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            tls.settimeout(left)
            if not socket.socket.recv(tls, 65536):
                break
    tls.close()
