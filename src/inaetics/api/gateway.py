"""The way from a browser to the cluster's pages: a server on this machine's loopback that shows our certificate for it.

Promises: only who knows the key in the address it prints gets through (other users of the machine share its loopback),
and those who do not can hold up nobody who does: their connections have a share and seconds of their own; what passes
is looking, what the demonstrator's page asks for, and versions of the mapping, with the cluster's token
where this person has it and the page sent none; when a control host dies, the next request goes to another one.
"""

from __future__ import annotations

import hmac
import http.client
import http.cookies
import secrets
import select
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import structlog

from inaetics.api.connection import open_connection
from inaetics.api.endpoint import ClientTls
from inaetics.errors import InvalidInput, Unavailable
from inaetics.override import override
from inaetics.strangers import HANDSHAKE_S, Strangers

log = structlog.get_logger()

ADDRESS = "127.0.0.1"
COOKIE = "inaetics-dashboard"
WHO = "inaetics-who"
"""A cookie that scripts see: who asks, for histories."""
VERSIONS = "/inaetics/v1/provisioning/versions"
MAX_BODY = 1024 * 1024
CONNECT_S = 3.0
PIECE = 64 * 1024

IDLE_S = 75.0
"""A connection is closed when its browser asks nothing for so long, or takes nothing of an answer."""

MOST = 128
"""Connections of those who know the key, a thread each. A browser opens six at the most."""

MOST_STRANGERS = 64
"""Connections that have not shown the key yet: anybody's on this machine."""

_PASSED = {"accept", "content-type", "last-event-id", "authorization", "if-none-match"}
_DROPPED = {"connection", "keep-alive", "transfer-encoding", "date", "server", "set-cookie"}

Way = tuple[tuple[str, ...], ClientTls | None]
"""Endpoints of the API, and the certificate to show there."""


class Gateway(ThreadingHTTPServer):
    """Listens on `ADDRESS`; `way` is asked anew for each connection, as control hosts come and go."""

    daemon_threads = True

    def __init__(
        self, way: Callable[[], Way], *, token: Callable[[], str | None] = lambda: None, who: str = "", port: int = 0
    ) -> None:
        """`token` gives the cluster's control token, None where it is not known; `who` is for histories. Raises
        `Unavailable` when the port is taken."""
        self.way = way
        self.token = token
        self.who = who
        self.key = secrets.token_urlsafe(24)
        self.strangers = Strangers(MOST_STRANGERS)
        self.known = threading.BoundedSemaphore(MOST)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {ADDRESS}:{port}: {error.strerror} (choose another: --port)"
            ) from error

    @property
    def origin(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}"

    @property
    def url(self) -> str:
        """What to open: the key becomes a cookie, and leaves the address bar."""
        return f"{self.origin}/?key={self.key}"

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the first API that answers. Raises `Unavailable`."""
        endpoints, tls = self.way()
        failure: OSError | None = None
        for endpoint in endpoints:
            try:
                return open_connection(endpoint, tls, timeout_s=CONNECT_S)
            except OSError as error:
                failure = error
        raise Unavailable(f"no fleet API answers at {', '.join(endpoints)}: {failure} (see: inaetics status)")

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        self.strangers.admit(request, client_address[0])
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self.strangers.leave(request)
            request.close()
            raise

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.strangers.leave(request)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no trouble; anything else is ours."""
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("browser's connection ended", error=str(error))
        else:
            log.error("request failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """One connection: a stranger's, until a request on it shows the key."""

    protocol_version = "HTTP/1.1"
    timeout = HANDSHAKE_S
    server: Gateway
    _is_known = False

    @override
    def finish(self) -> None:
        """Count the connection out."""
        if self._is_known:
            self.server.known.release()
        super().finish()

    def do_GET(self) -> None:
        """Let the bearer of the key in, then pass everything on."""
        if not self._is_ours():
            return
        parts = urlsplit(self.path)
        offered = parse_qs(parts.query).get("key", [""])[0]
        if parts.path == "/" and offered and self._same(offered):
            if not self._enters():
                return
            self.send_response(303)
            self.send_header("Location", "/dashboard/")
            self.send_header("Set-Cookie", f"{COOKIE}={offered}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Set-Cookie", f"{WHO}={quote(self.server.who, safe='')}; Path=/; SameSite=Strict")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self._is_let_in():
            self._pass_on("GET", b"")

    def do_POST(self) -> None:
        """Only what the demonstrator's page asks for, and versions of the mapping; only from the pages themselves."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self._refuse(413, "a body of known length, up to 1 MB, is needed")
            return
        body = self.rfile.read(int(length))
        if not self._is_ours() or not self._is_let_in():
            return
        ours = self.path.startswith("/demonstrator/") or self.path == VERSIONS
        if not ours or self.headers.get("Origin") != self.server.origin:
            self._refuse(403, "this way is for looking (changes: fleetctl, inaetics)")
        elif self.path == VERSIONS and "Authorization" not in self.headers and not self.server.token():
            self._refuse(401, "changing what agents run needs the cluster's token")
        else:
            self._pass_on("POST", body)

    def _is_ours(self) -> bool:
        """A page elsewhere may point a name of its own at our address; its requests carry that name."""
        if self.headers.get("Host") in (f"{ADDRESS}:{self.server.server_port}", f"localhost:{self.server.server_port}"):
            return True
        self._refuse(421, f"this is {self.server.origin}, and nothing else")
        return False

    def _is_let_in(self) -> bool:
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        if COOKIE in cookies and self._same(cookies[COOKIE].value):
            return self._enters()
        self._refuse(403, "open the address that `inaetics dashboard` printed: it carries the key")
        return False

    def _enters(self) -> bool:
        """Count the connection among those of people who know the key, once; False where these are too many."""
        if self._is_known:
            return True
        self.server.strangers.leave(self.connection)
        self._is_known = self.server.known.acquire(blocking=False)
        if not self._is_known:
            self._refuse(503, f"{MOST} connections are open, and no more can be at once: close some of the pages")
            return False
        self.connection.settimeout(IDLE_S)
        return True

    def _same(self, key: str) -> bool:
        return hmac.compare_digest(key.encode(), self.server.key.encode())

    def _pass_on(self, method: str, body: bytes) -> None:
        try:
            connection = self.server.connect()
        except (Unavailable, InvalidInput) as error:
            self._refuse(502, str(error))
            return
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() in _PASSED}
            if method == "POST" and "Authorization" not in self.headers and (token := self.server.token()):
                headers["Authorization"] = f"Bearer {token}"
            if connection.sock is not None:
                connection.sock.settimeout(None)  # a held request and a stream say when they end
            connection.request(method, self.path, body or None, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._refuse(502, f"the fleet API broke off: {error}")
            return
        try:
            self._answer(response, connection)
        finally:
            connection.close()

    def _answer(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _DROPPED:
                self.send_header(name, value)
        if response.length is not None or response.status in (204, 304):
            self.end_headers()
            self.wfile.write(response.read())
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        upstream = connection.sock
        if upstream is not None:
            threading.Thread(target=self._end_with_browser, args=(upstream,), daemon=True).start()
        self.close_connection = True
        try:
            while piece := response.read1(PIECE):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        except http.client.HTTPException as error:  # it broke off: without the last chunk, so does what we pass on
            log.debug("answer broke off", path=self.path, error=str(error))
            return
        self.wfile.write(b"0\r\n\r\n")

    def _end_with_browser(self, upstream: socket.socket) -> None:
        """When the browser goes away while nothing comes for it, end what it was reading."""
        try:
            browser = select.poll()  # and not a read: writing to it keeps its time
            browser.register(self.connection, select.POLLIN)
            browser.poll()
            upstream.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError) as error:  # ValueError: ours is closed already
            log.debug("stream had ended", error=str(error))

    def _refuse(self, status: int, words: str) -> None:
        text = f"{words}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    @override
    def log_message(self, format: str, *args: object) -> None:
        log.debug("request", line=format % args)
