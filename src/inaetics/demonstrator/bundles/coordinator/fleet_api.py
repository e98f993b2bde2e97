"""Asking the fleet's API on the control hosts, with the agent's own certificate.

One that answered is asked again; where it does not, the next one is. What the API refuses is raised as what it is.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from inaetics.errors import Forbidden, InaeticsError, Unavailable, error_of_status
from inaetics.tls import client_context

CONNECT_S = 2.0
ANSWER_S = 10.0

T = TypeVar("T")


class _Said(msgspec.Struct):
    message: str = ""


class _Refused(msgspec.Struct):
    error: _Said = msgspec.field(default_factory=_Said)


def context_of(directory: Path) -> ssl.SSLContext:
    """Shows the agent's certificate and believes the cluster's authority alone: no agent passes for a control host."""
    return client_context(
        ca=directory / "signers.pem", cert=directory / "cert.pem", key=directory / "key.pem", whose="the node agent's"
    )


class FleetApi:
    """One connection at a time, for one thread; `abort` may be called from any other and ends what waits."""

    def __init__(self, endpoints: Sequence[str], context: ssl.SSLContext | None) -> None:
        self._endpoints = list(endpoints)  # the one to ask first
        self._context = context
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._ended = False

    def get(self, path: str, kind: type[T], *, wait_s: float = 0.0) -> T:
        """Ask for `path`, which may be held for `wait_s`. Raises `Unavailable` when no control host answers."""
        return self._decode(path, self._ask("GET", path, None, {}, ANSWER_S + wait_s), kind)

    def send(
        self,
        method: str,
        path: str,
        body: object,
        kind: type[T],
        *,
        token: str | None = None,
        within_s: float = ANSWER_S,
    ) -> T:
        """Ask for a change, with a person's `token` where it is one's wish. Raises what the API refuses it with."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            if not (token.isascii() and token.isprintable()):
                raise Forbidden("this is not the cluster's control token")
            headers["Authorization"] = f"Bearer {token}"
        return self._decode(path, self._ask(method, path, msgspec.json.encode(body), headers, within_s), kind)

    def lines(self, path: str, headers: Mapping[str, str], *, silence_s: float) -> Iterator[str]:
        """The lines of something that goes on; ends by `Unavailable`, also when nothing comes for `silence_s`."""
        response = self._request("GET", path, None, headers, silence_s)
        try:
            while line := response.readline():
                yield line.decode(errors="replace").rstrip("\r\n")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._gone(error) from error
        finally:
            response.close()
            self._drop()
        raise Unavailable("a control host ended what was followed")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._drop()

    def abort(self) -> None:
        """End for good: whoever waits gets `Unavailable`, and so does everybody from now on."""
        with self._lock:
            self._ended = True
            sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it had ended by itself

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], within_s: float) -> bytes:
        response = self._request(method, path, body, headers, within_s)
        try:
            return response.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._gone(error) from error

    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], within_s: float
    ) -> http.client.HTTPResponse:
        """Returns once an answer begins. A connection that was idle may be dead: that costs a second try."""
        left = len(self._endpoints) + (self._connection is not None)
        while True:
            left -= 1
            try:
                return self._once(method, path, body, headers, within_s)
            except (OSError, http.client.HTTPException) as error:
                gone = self._gone(error)
                self._endpoints = [*self._endpoints[1:], *self._endpoints[:1]]
                if left <= 0 or self._ended:
                    raise gone from error

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], within_s: float
    ) -> http.client.HTTPResponse:
        connection = self._connect()
        if connection.sock is not None:
            connection.sock.settimeout(within_s)
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        if response.status >= 400:
            raise _error(response.status, response.read())
        return response

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            return self._connection
        if not self._endpoints:
            raise Unavailable("no control host is known here (INAETICS_API_ENDPOINTS is not set)")
        parts = urlsplit(self._endpoints[0])
        host, port = parts.hostname or "", parts.port
        made: http.client.HTTPConnection
        if parts.scheme == "https":
            made = http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=self._context)
        else:
            made = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        try:
            made.connect()
        except OSError:
            made.close()
            raise
        with self._lock:
            if self._ended:
                made.close()
                raise Unavailable("the coordinator is being stopped")
            self._connection = made
        return made

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _gone(self, error: Exception) -> Unavailable:
        asked = self._endpoints[0] if self._endpoints else "any endpoint"
        self._drop()
        words = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unavailable(f"the control host at {asked} does not answer: {words}")

    def _decode(self, path: str, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(f"a control host answered {path} with what cannot be read here: {error}") from error


def _error(status: int, body: bytes) -> InaeticsError:
    try:
        said: Any = msgspec.json.decode(body, type=_Refused).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = ""
    kind = error_of_status(status)
    words = said or f"a control host answered {status}"
    return Unavailable(words) if kind is InaeticsError else kind(words)  # the next control host may fare better
