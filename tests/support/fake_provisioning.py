"""A provisioning server that says what a test tells it, and remembers what agents reported."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from typing_extensions import override

from inaetics.bundles.archive import Archive
from inaetics.bundles.exchange import WITHIN_S, DeployedBundle, Deployment, Report
from inaetics.bundles.signature import Signature


class FakeProvisioning:
    """Serves `deploy`ed archives at `url` until `close`; with `tls` over https. Thread-safe."""

    def __init__(self, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> None:
        self._changed = threading.Condition()
        self._deployments: dict[str, Deployment] = {}
        self._bodies: dict[str, bytes] = {}
        self._counter = 0
        self._closed = False
        self.reports: list[Report] = []
        self.fetched: list[str] = []
        self.cut = False
        """Break the connection in the middle of each download."""
        self.slow_s = 0.0
        """What a download takes."""
        self._denies = False
        self.callers: list[int] = []
        """The serial numbers of the certificates that were shown, in order."""
        self._server = ThreadingHTTPServer((address, 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http{'s' if tls else ''}://{address}:{self._server.server_port}"
        if tls is not None:  # each connection makes its handshake on its own thread
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def deploy(
        self,
        target: str,
        archives: Sequence[Archive],
        *,
        within_s: float = WITHIN_S,
        sign: Callable[[str], Signature | None] = lambda _: None,
        body: Callable[[Archive], bytes] = lambda archive: archive.path.read_bytes(),
    ) -> str:
        """Give `target` these archives; returns the deployment's version."""
        bundles = []
        for archive in archives:
            manifest = archive.manifest
            url = f"/bundles/{manifest.name}/{manifest.version}"
            self._bodies[url] = body(archive)
            bundles.append(
                DeployedBundle(
                    name=manifest.name,
                    version=manifest.version,
                    sha256=archive.sha256,
                    url=url,
                    size=archive.size,
                    signature=sign(archive.sha256),
                )
            )
        with self._changed:
            self._counter += 1
            version = f"{self._counter}-{self._counter:012x}"
            self._deployments[target] = Deployment(version=version, bundles=tuple(bundles), within_s=within_s)
            self._changed.notify_all()
        return version

    def deny(self) -> None:
        """From now on answer every question at once: that there is nothing new."""
        with self._changed:
            self._denies = True
            self._changed.notify_all()

    def states(self) -> list[tuple[str, str]]:
        """Of all reports: the number of the deployment, and what came of it."""
        return [(report.version.partition("-")[0], report.state) for report in list(self.reports)]

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str, after: str, wait_s: float) -> bytes | None:
        """The JSON of the target's deployment, held as a real server holds it."""
        until = time.monotonic() + wait_s
        with self._changed:
            while not self._closed and not self._denies:
                found = self._deployments.get(target)
                if found is not None and found.version != after:
                    return msgspec.json.encode(found)
                if not self._changed.wait(max(until - time.monotonic(), 0)):
                    return None
        return None

    def archive(self, path: str) -> bytes:
        self.fetched.append(path.removeprefix("/bundles/").replace("/", "-"))
        time.sleep(self.slow_s)
        return self._bodies[path]


def _handler(server: FakeProvisioning) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        @override
        def setup(self) -> None:
            super().setup()
            if isinstance(self.request, ssl.SSLSocket):
                self.request.do_handshake()
                server.callers.append(int(str((self.request.getpeercert() or {})["serialNumber"]), 16))

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith("/bundles/"):
                self._send(200, server.archive(parts.path), cut=server.cut)
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            target = unquote(parts.path.rsplit("/", 1)[1])
            found = server.answer(target, query.get("after", ""), float(query["wait_s"]))
            self._send(304 if found is None else 200, found or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.reports.append(msgspec.json.decode(body, type=Report))
            self._send(204, b"")

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _send(self, status: int, body: bytes, *, cut: bool = False) -> None:
            with suppress(ConnectionError):  # the agent has gone
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if cut else body)

    return Handler
