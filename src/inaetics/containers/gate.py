"""The gate of an image registry: the one address at which people, hosts and other registries find it.

docker-registry knows no names: whoever has a certificate may do everything. So it listens on a socket that only its
host's owner can reach, and the gate stands in front of it: it speaks TLS, looks at the certificate, lets everybody of
the cluster read and a few push, and writes down what every tag means since when. Anything it lets through is passed on
as it is, so every client of the OCI distribution protocol works.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from inaetics.containers import gate_http
from inaetics.containers.daemon_log import log
from inaetics.containers.gate_identity import Identity, identity_of
from inaetics.containers.replicate_http import Own
from inaetics.containers.replicate_plan import NAME, REFERENCE
from inaetics.containers.replicate_room import refuse_full
from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.override import override
from inaetics.strangers import GuardedServer

IDLE_S = 75.0
"""A connection of the cluster's is closed when nobody asks anything for so long, or when it stalls in a request."""

PART_S, LINGER_S = 1.0, 5.0
LOOK_BYTES = 8 * 1024 * 1024
"""How often an upload looks whether there is still room."""

MOST_CONNECTIONS, MOST_WAITING = 256, 128
"""Of the cluster's own: served at once, and those that wait for that."""
MOST_STRANGERS = 128
"""Connections that have not shown their certificate yet. All of these fit into the 1,024 files of a process."""
REGISTRY_S = 60.0
AWAY_S = 2.0
"""How long a request waits for a registry that is being restarted."""

_MANIFEST = re.compile(rf"/v2/({NAME})/manifests/({REFERENCE})")
_UPLOAD = re.compile(rf"/v2/({NAME})/blobs/uploads/[A-Za-z0-9_=-]*")
_WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for the gate itself, below /inaetics/."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    who: Identity


class Refusal(InaeticsError):
    """What the client is told instead of an answer: a status, and a code of the distribution protocol."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(kw_only=True)
class Doors:
    """What stands behind the gate, and who may pass. `answer` serves what is asked of the gate itself."""

    own: Own
    root: Path
    may_push: Callable[[Identity], bool]
    answer: Callable[[Asked], Any]
    pushed: Callable[[str, str, str, Identity], None]
    """Told of each manifest that was written: repository, reference, digest, by whom."""
    removed: Callable[[str, str, Identity], bool]
    """Told of a reference that is to go: returns whether it did everything itself."""
    writing: threading.RLock
    """Held while a manifest is written, so that what is written down is what the registry has."""
    activity: Callable[[], AbstractContextManager[None]]
    """Around everything that somebody who may push does towards it; may wait before it begins."""


class Gate(GuardedServer):
    """The server: a thread for each connection, so many at once and no more."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, doors: Doors) -> None:
        self.doors = doors
        super().__init__(
            address,
            _Handler,
            context=context,
            strangers=MOST_STRANGERS,
            at_once=MOST_CONNECTIONS,
            waiting=MOST_WAITING,
        )

    @override
    def turned_away(self, client: str, error: Exception) -> None:
        log("connection refused", level="debug", client=client, reason=str(error))

    @override
    def crowded(self, client: str) -> None:
        log("too many connections", level="warning", client=client, most=MOST_CONNECTIONS + MOST_WAITING)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is told, with its traceback in one line."""
        import sys
        import traceback

        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log("request failed", level="error", reason=repr(error), trace=traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    """One connection: a request after the other."""

    server: Gate
    protocol_version = "HTTP/1.1"
    server_version = "inaetics"
    sys_version = ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged one by one."""

    def _serve(self) -> None:
        self._begun, self._length = False, None
        try:
            self._length = gate_http.body_length(self.headers)
            self._dispatch(identity_of(self.connection.getpeercert()))
        except Refusal as refusal:
            self._refuse(refusal)
        except InvalidInput as error:
            self._refuse(Refusal(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", str(error)))
        except gate_http.Cut:
            self.close_connection = True
        except InaeticsError as error:
            self._refuse(Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", str(error)))
        if self.close_connection and self._begun and self._length != 0:
            self._linger()

    def _linger(self) -> None:
        """Throw away what still comes, for a moment: who is cut off while it sends never reads its answer."""
        end = time.monotonic() + LINGER_S
        with suppress(OSError):  # it has gone: nothing comes any more
            self.connection.settimeout(PART_S)
            while time.monotonic() < end and self.connection.recv(65536):
                pass

    def _dispatch(self, who: Identity) -> None:
        parts = urllib.parse.urlsplit(self.path)
        if parts.path.startswith("/inaetics/"):
            self._own_business(parts, who)
        elif parts.path.startswith("/v2/"):
            self._pass_on(parts.path, who)
        else:
            raise Refusal(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "this is an image registry: its paths begin with /v2/")

    # ---- the registry's

    def _pass_on(self, path: str, who: Identity) -> None:
        doors = self.server.doors
        if self.command in _WRITES and not doors.may_push(who):
            self._refuse_push(who)
        if self.command != "GET" and doors.may_push(who):
            with doors.activity():
                self._serve_registry(path, who)
        else:
            self._serve_registry(path, who)

    def _serve_registry(self, path: str, who: Identity) -> None:
        found = _MANIFEST.fullmatch(path)
        if self.command in ("POST", "PATCH", "PUT"):
            self._refuse_full(self._length or 0)
        if found and self.command == "PUT":
            self._put_manifest(found[1], found[2], who)
        elif found and self.command == "DELETE":
            self._delete_manifest(found[1], found[2], who)
        elif self.command in _WRITES and not _UPLOAD.fullmatch(path):
            # Above all blobs: they are shared between images.
            help = "what nothing needs any more goes with: inaetics image prune --registry"
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", f"cannot {self.command} {path} here ({help})")
        elif self.command in ("PATCH", "PUT"):
            self._upload()
        else:
            self._through(gate_http.body(self.rfile, self._length))

    def _upload(self) -> None:
        """Pass a blob on. What did not get there whole is taken away at once: it would lie on the disk for a day."""
        try:
            status = self._through(self._while_there_is_room(gate_http.body(self.rfile, self._length)))
        except InaeticsError:
            self._forget_upload()
            raise
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._forget_upload()

    def _while_there_is_room(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        unchecked = 0
        for piece in pieces:
            unchecked += len(piece)
            if unchecked > LOOK_BYTES:
                unchecked = 0
                self._refuse_full()
            yield piece

    def _forget_upload(self) -> None:
        self.server.doors.own.files.remove_upload(self.path)

    def _refuse_push(self, who: Identity) -> None:
        with suppress(gate_http.Cut, InvalidInput):
            gate_http.whole_body(self.rfile, self._length)  # so that the client gets to reading the answer
        log("push refused", level="warning", by=who.name, path=self.path)
        raise Refusal(
            HTTPStatus.FORBIDDEN,
            "DENIED",
            f"certificate {who.name!r} may pull from this registry and not push to it"
            " (push with the operator's: inaetics image push)",
        )

    def _refuse_full(self, size: int = 0) -> None:
        try:
            refuse_full(self.server.doors.root, "take an image in", size=size)
        except InaeticsError as error:
            help = "make room: inaetics image prune --registry"
            raise Refusal(HTTPStatus.INSUFFICIENT_STORAGE, "DENIED", f"{error} ({help})") from error

    def _put_manifest(self, repository: str, reference: str, who: Identity) -> None:
        content = gate_http.whole_body(self.rfile, self._length)
        doors = self.server.doors
        with doors.writing:
            connection, answer = self._ask(content)
            with connection:
                digest = answer.getheader("Docker-Content-Digest", "")
                if answer.status == HTTPStatus.CREATED and digest:
                    doors.pushed(repository, reference, digest, who)
                self._give(answer)

    def _delete_manifest(self, repository: str, reference: str, who: Identity) -> None:
        doors = self.server.doors
        with doors.writing:
            if doors.removed(repository, reference, who):
                self._answer(HTTPStatus.ACCEPTED, b"", "application/json")
            else:
                self._through(b"")

    def _through(self, content: Any) -> int:
        """Pass the request on and the answer back; returns its status."""
        connection, answer = self._ask(content)
        with connection:
            self._give(answer)
        return answer.status

    def _ask(self, content: Any) -> tuple[Any, http.client.HTTPResponse]:
        """Send the request to the registry; waits a moment for one that is just being restarted."""
        own = self.server.doors.own
        end = time.monotonic() + AWAY_S
        while True:
            connection = own.connection(REGISTRY_S)
            try:
                connection.connect()
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise Unavailable(
                        f"the registry behind this gate does not answer: {error} (see: inaetics journal HOST"
                        " registry.service)"
                    ) from error
                time.sleep(0.1)
        try:
            answer = gate_http.send(connection, self.command, self.path, self.headers, content, self._length)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable(
                f"the registry behind this gate broke off: {str(error) or type(error).__name__}"
            ) from error
        except BaseException:
            connection.close()
            raise
        return _Closing(connection), answer

    def _give(self, answer: http.client.HTTPResponse) -> None:
        self._begun = True
        self.send_response_only(answer.status)
        for name, value in gate_http.kept_headers(answer).items():
            self.send_header(name, value)
        length = answer.getheader("Content-Length")
        with_body = gate_http.has_body(self.command, answer.status)
        chunked = with_body and length is None
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif length is not None:
            self.send_header("Content-Length", length)
        if answer.status >= HTTPStatus.BAD_REQUEST and self.command in _WRITES:
            self.close_connection = True  # part of the request may be unread
            self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            try:
                gate_http.copy_answer(answer, self.wfile, chunked=chunked)
            except (OSError, http.client.HTTPException, gate_http.Cut):
                self.close_connection = True

    # ---- the gate's own

    def _own_business(self, parts: urllib.parse.SplitResult, who: Identity) -> None:
        asked = Asked(
            method=self.command,
            path=parts.path,
            query=dict(urllib.parse.parse_qsl(parts.query)),
            headers=dict(self.headers.items()),
            content=gate_http.whole_body(self.rfile, self._length),
            who=who,
        )
        found = self.server.doors.answer(asked)
        self._answer(HTTPStatus.OK, json.dumps(found).encode(), "application/json")

    def _refuse(self, refusal: Refusal) -> None:
        if self._begun:
            self.close_connection = True
            return
        self.close_connection = True
        told = {"errors": [{"code": refusal.code, "message": str(refusal), "detail": None}]}
        self._answer(refusal.status, json.dumps(told).encode(), "application/json")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._begun = True
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _Closing:
    """Closes a connection at the end of a block."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return

    def __exit__(self, *reason: object) -> None:
        self._connection.close()
