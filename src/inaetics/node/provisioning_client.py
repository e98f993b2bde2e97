"""How an agent asks a provisioning server: held questions, downloads, reports; over HTTP, with mutual TLS if it can."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec

from inaetics.bundles.archive import MAX_BYTES
from inaetics.bundles.exchange import DeployedBundle, Deployment, Report
from inaetics.errors import InvalidInput, Unavailable

TIMEOUT_S = 5.0
"""For each step of an exchange: a server that says nothing."""
ANSWER_S = 10.0
"""For a whole answer, when it is due: a server that says a little now and then."""
FETCH_S = 120.0
"""For a whole archive."""
MAX_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """Of an exchange: bytes of the answer, seconds of each step and of all together."""

    limit: int
    timeout_s: float
    within_s: float


class ProvisioningClient:
    """Asks the server at `url`, which is told `where` we are. One thread asks; another may `cancel` its question.

    `tls` is for an https address: the server shows a certificate for its address, and we show ours. The connection is
    kept between questions (a handshake costs five times what a question does) until `close`.
    """

    def __init__(self, url: str, *, where: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._where = where
        self._tls = tls
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._kept: http.client.HTTPConnection | None = None
        self._cancelled = False

    def deployment(self, target: str, *, after: str, running: str, error: str, wait_s: float) -> Deployment | None:
        """The deployment of `target` once its version is not `after`; None when that is not so within `wait_s`.

        `running` and `error` tell the server how the agent is. Raises `Unavailable`.
        """
        asked = {"after": after, "wait_s": wait_s, "running": running, "error": error[:1000], "where": self._where}
        query = urlencode({name: value for name, value in asked.items() if value != ""})
        url = f"{self.url}/deployments/{quote(target, safe='')}?{query}"
        body = self._ask("GET", url, limit=MAX_ANSWER, timeout_s=TIMEOUT_S + wait_s, within_s=ANSWER_S + wait_s)
        if body is None:
            return None
        try:
            return msgspec.json.decode(body, type=Deployment)
        except msgspec.DecodeError as failure:
            raise Unavailable(
                f"the provisioning server at {self.url} answers what we do not know: {failure}"
            ) from failure

    def fetch(self, bundle: DeployedBundle) -> bytes:
        """Download a bundle's archive, unchecked. Raises `Unavailable`."""
        url = urljoin(f"{self.url}/", bundle.url.lstrip("/"))
        limit = min(bundle.size if bundle.size is not None else MAX_BYTES * 2, MAX_BYTES * 2)
        return self._ask("GET", url, limit=limit, timeout_s=TIMEOUT_S, within_s=FETCH_S) or b""

    def report(self, target: str, report: Report) -> None:
        """Say what came of a deployment. Raises `Unavailable`, and `InvalidInput` when the server takes no reports."""
        url = f"{self.url}/reports/{quote(target, safe='')}?{urlencode({'where': self._where})}"
        body = msgspec.json.encode(report)
        self._ask("POST", url, limit=MAX_ANSWER, timeout_s=TIMEOUT_S, within_s=ANSWER_S, body=body)

    def cancel(self) -> None:
        """Make a question that is being asked, and every later one, fail with `Unavailable`. Safe from any thread."""
        with self._lock:
            self._cancelled = True
            connection = self._connection
        if connection is not None:
            _shut(connection)

    @property
    def cancelled(self) -> bool:
        """Whether nothing can be asked with it any more."""
        with self._lock:
            return self._cancelled

    def close(self) -> None:
        """Let go of the connection; the next question makes another. Call it from the thread that asks. Idempotent."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _ask(
        self, method: str, url: str, *, limit: int, timeout_s: float, within_s: float, body: bytes | None = None
    ) -> bytes | None:
        reused = self._kept is not None
        bounds = _Bounds(limit=limit, timeout_s=timeout_s, within_s=within_s)
        try:
            try:
                response, answer = self._exchange(method, url, body, bounds)
            except (ConnectionError, ssl.SSLEOFError, http.client.BadStatusLine):
                if not reused or self.cancelled:
                    raise
                # It was closed while nobody asked; a new one tells whether the server is there.
                response, answer = self._exchange(method, url, body, bounds)
        except (OSError, http.client.HTTPException, ValueError) as error:  # also an address that is none
            raise Unavailable(f"the provisioning server at {self.url} does not answer: {error}") from error
        if response.status in (204, 304):
            return None
        words = answer[:300].decode("utf-8", "replace")
        if response.status in (400, 404, 405, 501) and method == "POST":
            raise InvalidInput(f"the provisioning server at {self.url} refuses a report: {response.status}: {words}")
        if response.status != 200:
            raise Unavailable(f"the provisioning server at {self.url} answers {response.status}: {words}")
        if len(answer) > limit:
            raise Unavailable(f"the provisioning server at {self.url} sends more than the {limit} bytes it announced")
        return answer

    def _exchange(
        self, method: str, url: str, body: bytes | None, bounds: _Bounds
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask over the connection that was kept, or a new one; keep it when the whole answer was read."""
        parts = urlsplit(url)
        connection = self._kept or self._connect_to(parts.scheme, parts.hostname or "", parts.port, bounds.timeout_s)
        self._kept = None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            with _time_limit(connection, bounds.within_s):
                self._begin(connection, bounds.timeout_s)
                connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
                response = connection.getresponse()
                answer = response.read(bounds.limit + 1)
                if response.length and len(answer) <= bounds.limit:  # what is still to come, and does not
                    raise http.client.IncompleteRead(answer, response.length)
            if len(answer) <= bounds.limit and not response.will_close:
                self._kept = connection
        finally:
            with self._lock:
                self._connection = None
            if self._kept is None:
                connection.close()
        return response, answer

    def _connect_to(self, scheme: str, host: str, port: int | None, timeout_s: float) -> http.client.HTTPConnection:
        if scheme == "http" and host and self._tls is None:
            return http.client.HTTPConnection(host, port or 80, timeout=timeout_s)
        if scheme == "https" and host and self._tls is not None:
            return http.client.HTTPSConnection(host, port or 443, timeout=timeout_s, context=self._tls)
        why = "its address must be http(s)://HOST:PORT"
        if host:
            why = "we have no certificates" if scheme == "https" else "it has no TLS, and we have certificates"
        raise Unavailable(f"cannot ask a provisioning server at {self.url!r}: {why}")

    def _begin(self, connection: http.client.HTTPConnection, timeout_s: float) -> None:
        if connection.sock is None:
            connection.connect()
        else:
            connection.sock.settimeout(timeout_s)
        with self._lock:
            if self._cancelled:
                raise ConnectionAbortedError("cancelled")
            self._connection = connection


@contextmanager
def _time_limit(connection: http.client.HTTPConnection, within_s: float) -> Iterator[None]:
    """Shut the connection after `within_s`, whatever the block does with it; raises `TimeoutError` from the block then.

    A timeout of its socket starts anew with every byte that the other side brings itself to send.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        _shut(connection)

    timer = threading.Timer(within_s, end)
    timer.daemon = True
    timer.start()
    words = f"its answer was not complete within {within_s:g} s"
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set():
            raise TimeoutError(words) from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError(words)


def _shut(connection: http.client.HTTPConnection) -> None:
    if (sock := connection.sock) is not None:
        with suppress(OSError):  # it may have ended by itself
            sock.shutdown(socket.SHUT_RDWR)
