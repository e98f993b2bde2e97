"""Listeners: a Unix socket for the owner of the host, mutual TLS for everybody else, one application behind both.

uvicorn's own server wakes ten times a second to look at a flag, and takes the process's signals; ours does neither, so
that an idle API costs nothing and both listeners stop together.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from inaetics.api.bounds import BoundedProtocol
from inaetics.api.endpoint import ClientTls
from inaetics.api.peers import Authorities
from inaetics.errors import InvalidInput, Unavailable
from inaetics.override import override
from inaetics.tls import server_context as tls_server

if TYPE_CHECKING:
    from starlette.types import ASGIApp


GRACE_S = 1
"""How long requests under way may take once the process is told to stop."""

BACKLOG = 512


class Listener(uvicorn.Server):
    """One listening socket; serves until `stopping` is set. `listening` is set once it answers."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        stopping: asyncio.Event,
        tls: ssl.SSLContext | None,
        authorities: Authorities | None = None,
    ):
        """With `tls`, what a client may ask for depends on which of the `authorities` signed its certificate."""
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_S,
        )
        config.load()
        config.ssl = tls
        config.http_protocol_class = partial(BoundedProtocol, authorities=authorities)  # type: ignore[assignment]
        super().__init__(config)
        self._socket = listening
        self._stopping = stopping
        self.listening = asyncio.Event()

    async def run_until_stopped(self) -> None:
        """Serve; returns once the socket is closed and requests under way have ended or had their grace."""
        await self._serve([self._socket])

    @override
    async def main_loop(self) -> None:
        self.listening.set()
        await self._stopping.wait()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def unix_socket(path: Path) -> socket.socket:
    """Bind `path`, readable and writable by its owner only; what a dead process left there is replaced."""
    if _answers(path):
        raise Unavailable(f"cannot listen on {path}: another fleet API serves there already")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise InvalidInput(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    listening.setblocking(False)
    return listening


def tcp_socket(address: str, port: int) -> socket.socket:
    """Bind `address`:`port`; the error says when somebody else has it."""
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        hint = f" (who has it: ss -tlnp 'sport = :{port}')" if error.errno == errno.EADDRINUSE else ""
        raise Unavailable(f"cannot listen on {address}:{port}: {error.strerror}{hint}") from error
    listening.setblocking(False)
    return listening


def server_context(tls: ClientTls) -> ssl.SSLContext:
    """TLS that shows the API's certificate and refuses clients without one from the authorities in `tls.ca`."""
    return tls_server(ca=tls.ca, cert=tls.cert, key=tls.key, whose="the API's")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
