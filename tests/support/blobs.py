"""A registry of archives that does what a test tells it: to lie, to be away, to answer late."""

from __future__ import annotations

import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override


class BlobServer:
    """Serves every ``*.zip`` of a directory by its SHA-256, in whatever repository it is asked for.

    `lies` has other content for a hash; `asked` counts downloads by hash.
    """

    def __init__(self, directory: Path, address: str, context: ssl.SSLContext | None = None) -> None:
        self.directory = directory
        self.lies: dict[str, bytes] = {}
        self.asked: dict[str, int] = {}
        self._host, self._port = address, 0
        self._context = context
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"{self._host}:{self._port}"

    def start(self) -> None:
        """Listen (again), where it did before."""
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ours._answer(self)

            do_HEAD = do_GET

            @override
            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server((self._host, self._port), Handler)
        self._port = self._server.server_port
        if self._context is not None:
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be away. Idempotent."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        sha256 = request.path.rpartition("sha256:")[2]
        data = self.lies.get(sha256) or self._blob(sha256)
        if request.command == "GET":
            self.asked[sha256] = self.asked.get(sha256, 0) + 1
        request.send_response(404 if data is None else 200)
        request.send_header("Content-Length", str(len(data or b"")))
        request.end_headers()
        if data and request.command == "GET":
            request.wfile.write(data)

    def _blob(self, sha256: str) -> bytes | None:
        for path in sorted(self.directory.glob("*.zip")):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None
