"""The server below the pages: whoever connects may neither hold a thread for long, nor many, nor fill the journal.

Promises: a request has to be there whole within `REQUEST_S` of its connection, however slowly it drips; an answer that
nobody takes is given up after `ANSWER_S`; at most `MOST` connections are served at once, and others hear 503; a browser
that goes away, whenever, is no error. How long an answer takes to make is its servlet's business.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sys
import threading
import time
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

import structlog
from pelix.http.basic import _HttpServerFamily, _RequestHandler

from inaetics.override import override

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

log = structlog.get_logger()

REQUEST_S = 15.0
ANSWER_S = 30.0
MOST = 256
"""A thread each. Open event streams are not among them: they have a thread of their own together."""

_REFUSED_AT_ONCE = 16
"""So many more get a sentence; beyond them a connection is closed without a word."""
_REFUSAL_S = 1.0
_HEAD_BYTES = 65536


class _Incoming(io.RawIOBase):
    """Reads a connection until its time is over."""

    def __init__(self, connection: socket.socket, until_s: float) -> None:
        super().__init__()
        self._connection = connection
        self._until_s = until_s

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until_s - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the request was not there within {REQUEST_S:g} s")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Outgoing(io.BufferedIOBase):
    """Writes to a connection, and remembers that nobody took it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self.broken = False

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: ReadableBuffer) -> int:
        try:
            self._connection.settimeout(ANSWER_S)
            self._connection.sendall(data)  # the time is for all of it
        except OSError:
            self.broken = True
            raise
        return memoryview(data).nbytes


class PageHandler(_RequestHandler):
    """Pelix's, with an end to patience. One request a connection, as HTTP/1.0 has it."""

    _out: _Outgoing

    @override
    def setup(self) -> None:
        super().setup()
        until_s = time.monotonic() + REQUEST_S
        self.rfile = io.BufferedReader(_Incoming(self.connection, until_s))
        self.wfile = self._out = _Outgoing(self.connection)

    @override
    def send_exception(self, response: Any) -> None:
        error = sys.exception()
        if self._out.broken or isinstance(error, ConnectionResetError | BrokenPipeError):
            self._left(error)
        else:
            super().send_exception(response)

    @override
    def send_timeout_response(self, response: Any) -> None:
        if self._out.broken:
            self._left(sys.exception())
            return
        self.close_connection = True
        with contextlib.suppress(OSError):  # who is that slow may be gone
            response.send_content(408, _sentence(408, f"the request was not there within {REQUEST_S:g} s"), _JSON)

    @override
    def log_error(self, format: str, *args: Any, **kwargs: Any) -> None:
        log.debug("request refused", peer=self.client_address[0], reason=format % args)

    def _left(self, error: BaseException | None) -> None:
        self.close_connection = True
        log.debug("browser left", peer=self.client_address[0], reason=str(error))


class PageServer(_HttpServerFamily):
    """Serves at most `MOST` connections, each with a thread of its own."""

    daemon_threads = True  # and so not joined at the end

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST)
        self._refusing = threading.BoundedSemaphore(_REFUSED_AT_ONCE)
        self._complained = False
        super().__init__(*args, **kwargs)

    @override
    def server_bind(self) -> None:
        try:
            TCPServer.server_bind(self)
        except OSError:
            self.server_close()  # nobody else has it yet
            raise
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            self._complained = False
            super().process_request(request, client_address)
            return
        if not self._complained:  # once, not for each
            log.warning("too many connections to the pages at once", most=MOST, peer=client_address[0])
        self._complained = True
        if self._refusing.acquire(blocking=False):
            threading.Thread(target=self._refuse, args=(request,), name="pages-refusal", daemon=True).start()
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no trouble; anything else is ours."""
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("browser left", peer=client_address[0], reason=str(error))
        else:
            log.error("cannot answer", peer=client_address[0], exc_info=error)

    def _refuse(self, request: socket.socket) -> None:
        """Say 503 to who has asked: to somebody who is still speaking the answer would be lost."""
        words = f"{MOST} requests are being answered, and no more can be at once: try again in a moment"
        body = _sentence(503, words).encode()
        head = "HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: " + _JSON
        try:
            request.settimeout(_REFUSAL_S)
            request.recv(_HEAD_BYTES)
            request.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        except OSError as error:
            log.debug("browser left", reason=str(error))
        finally:
            self.shutdown_request(request)
            self._refusing.release()


_JSON = "application/json"


def _sentence(status: int, words: str) -> str:
    """An error's entity, as everywhere here."""
    return json.dumps({"error": {"code": status, "message": words}})
