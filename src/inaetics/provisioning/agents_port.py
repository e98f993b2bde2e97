"""The port for agents: deployments (held), archives and reports, over mutual TLS where the host has certificates.

A thread serves a connection, so a held question costs a thread that sleeps. The handshake is made on that thread too:
whoever connects and says nothing keeps nobody waiting. Paths::

    GET  /deployments/TARGET?after=VERSION&wait_s=S&running=VERSION&error=TEXT&where=TEXT
    GET  /bundles/NAME/VERSION?sha256=HASH
    POST /reports/TARGET
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from inaetics.errors import InaeticsError, InvalidInput, NotFound, Unavailable
from inaetics.override import override
from inaetics.provisioning.answers import MAX_REPORT, Answer, Answers, refusal
from inaetics.strangers import GuardedServer
from inaetics.tls import common_name, server_context

log = structlog.get_logger()

IDLE_S = 75.0
"""A connection on which nothing is asked for so long is closed; longer than any question is held."""
MAX_CONNECTIONS = 2000
MAX_STRANGERS = 512
"""Connections that have not shown their certificate yet: as many as agents may come at once after a restart."""
ANSWERED_S = 0.5
"""How long the end of the server waits for answers that are on their way."""


class AgentsPort:
    """Listens from `start` to `stop`. `tls` is a directory with ca.pem, cert.pem and key.pem, or None."""

    def __init__(self, answers: Answers, address: str, port: int, *, tls: Path | None) -> None:
        self._answers = answers
        self._address = address
        self._wanted_port = port
        self._context = _context(tls) if tls else None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where it is, once it was started."""
        if self._server is None:
            return ""
        return f"{'https' if self._context else 'http'}://{self._address}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Listen; raises `Unavailable` when the port is taken."""
        try:
            self._server = _Server((self._address, self._wanted_port), self._answers, self._context)
        except OSError as error:
            raise Unavailable(f"cannot listen for agents at {self._address}:{self._wanted_port}: {error}") from error
        threading.Thread(target=self._server.serve_forever, name="agents", daemon=True).start()

    def stop(self) -> None:
        """Take no more connections, and let those be answered that asked: the desk has told them to go. Idempotent."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.wait_answered(ANSWERED_S)


class _Server(GuardedServer):
    request_queue_size = 256

    def __init__(self, at: tuple[str, int], answers: Answers, context: ssl.SSLContext | None) -> None:
        self.answers = answers
        self._answering = threading.Condition()
        self._asked = 0
        super().__init__(at, _Handler, context=context, strangers=MAX_STRANGERS, at_once=MAX_CONNECTIONS)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A question is being answered."""
        with self._answering:
            self._asked += 1
        try:
            yield
        finally:
            with self._answering:
                self._asked -= 1
                self._answering.notify_all()

    def wait_answered(self, timeout_s: float) -> None:
        """Wait until nothing is being answered, but not for long."""
        with self._answering:
            self._answering.wait_for(lambda: not self._asked, timeout_s)

    @override
    def turned_away(self, client: str, error: Exception) -> None:
        log.debug("connection of an agent ended", peer=client, reason=str(error))

    @override
    def crowded(self, client: str) -> None:
        log.warning("too many connections of agents", most=MAX_CONNECTIONS)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """An agent that goes away, or somebody without a certificate, is no news; anything else is a bug."""
        import sys

        error = sys.exc_info()[1]
        if isinstance(error, OSError):  # ssl.SSLError is one
            log.debug("connection of an agent ended", peer=client_address[0], reason=str(error))
        else:
            log.error("cannot answer an agent", peer=client_address[0], exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: _Server

    def do_GET(self) -> None:
        with self.server.answering():
            self._answer(self._looked_up)

    def do_POST(self) -> None:
        with self.server.answering():
            self._answer(self._told)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what matters is logged where it is decided."""

    def _answer(self, make: Callable[[list[str], dict[str, str]], Answer]) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        try:
            answer = make([unquote(part) for part in parts.path.strip("/").split("/")], query)
        except InaeticsError as error:
            answer = refusal(error)
        self.send_response(answer.status)
        if answer.status not in (204, 304):
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _looked_up(self, parts: list[str], query: dict[str, str]) -> Answer:
        match parts:
            case ["deployments", target]:
                return self.server.answers.deployment(target, query, where=self._peer())
            case ["bundles", name, version]:
                return self.server.answers.bundle(name, version, query)
            case _:
                raise NotFound(
                    f"there is no /{'/'.join(parts)} for agents (there are /deployments/TARGET and /bundles/…)"
                )

    def _told(self, parts: list[str], query: dict[str, str]) -> Answer:
        match parts:
            case ["reports", target]:
                return self.server.answers.report(target, self._body(), where=query.get("where") or self._peer())
            case _:
                raise NotFound(f"there is no /{'/'.join(parts)} to tell (there is /reports/TARGET)")

    def _body(self) -> bytes:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit() or int(text) > MAX_REPORT:
            self.close_connection = True
            raise InvalidInput(f"a report has a Content-Length of at most {MAX_REPORT} bytes, not {text!r}")
        return self.rfile.read(int(text))

    def _peer(self) -> str:
        """Who is at the other end: the name in its certificate, else its address."""
        found = common_name(self.connection.getpeercert()) if isinstance(self.connection, ssl.SSLSocket) else ""
        return found or str(cast(Any, self.client_address)[0])


def _context(directory: Path) -> ssl.SSLContext:
    ca, cert, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    context = server_context(ca=ca, cert=cert, key=key, whose="the provisioning server's")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
