"""Answers the calls of other agents: one thread a connection, calls of one connection in order."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from inaetics.errors import InaeticsError, Unavailable
from inaetics.node.remote.wire import Answer, Call, Connection, Failure, greet, prepare

log = structlog.get_logger()

Dispatch = Callable[[Call], Any]
"""Carries a call out. Raises `Refused` when there is no such endpoint or method."""

HANDSHAKE_S = 5.0
MAX_CONNECTIONS = 512
PAUSE_S = 0.1
_BACKLOG = 128


class Refused(Exception):
    """A call that nobody here takes. `kind` is `wire.NO_ENDPOINT` or `wire.NO_METHOD`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Server:
    """Listens on one address, any free port, from `start` to `stop`."""

    def __init__(self, address: str, framework: str, dispatch: Dispatch, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._framework = framework
        self._dispatch = dispatch
        self._tls = tls
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None

    def start(self) -> int:
        """Listen; returns the port. Raises `Unavailable` when the address cannot be used."""
        try:
            listener = socket.create_server((self._address, 0), backlog=_BACKLOG)
        except OSError as error:
            raise Unavailable(f"cannot offer remote services on {self._address}: {error.strerror or error}") from error
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="remote accept", daemon=True).start()
        return int(listener.getsockname()[1])

    def stop(self) -> None:
        """Take no more calls and close every connection; calls that are being carried out get no answer. Idempotent."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _wake_and_close(listener)
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                stream, peer = listener.accept()
                self._admit(stream, peer)
            except (OSError, RuntimeError) as error:  # out of files or threads: others end, and there is room again
                if self._listener is listener:
                    log.error("cannot accept a remote caller", error=str(error))  # noqa: TRY400 - the words are enough
                    time.sleep(PAUSE_S)

    def _admit(self, stream: socket.socket, peer: tuple[str, int]) -> None:
        with self._lock:
            full = len(self._connections) >= MAX_CONNECTIONS
        if full:
            stream.close()
            raise OSError(f"{MAX_CONNECTIONS} connections are open, {peer[0]} was turned away")
        try:
            threading.Thread(target=self._serve, args=(stream, peer), name=f"remote {peer[0]}", daemon=True).start()
        except RuntimeError:
            stream.close()
            raise

    def _serve(self, stream: socket.socket, peer: tuple[str, int]) -> None:
        try:
            with self._connected(stream) as connection:
                while isinstance(call := connection.receive(), Call):
                    self._carry_out(connection, call)
        except ssl.SSLError as error:
            log.warning("caller without a certificate of the cluster?", peer=peer[0], error=str(error))
        except (OSError, InaeticsError) as error:
            log.debug("connection ended", peer=peer[0], error=str(error))

    @contextmanager
    def _connected(self, stream: socket.socket) -> Iterator[Connection]:
        """TLS and Hellos, on the connection's own thread: who dawdles holds up nobody. Closed at the end."""
        prepare(stream)
        stream.settimeout(HANDSHAKE_S)
        try:
            connection = Connection(self._tls.wrap_socket(stream, server_side=True) if self._tls else stream)
        except OSError:
            stream.close()
            raise
        with self._lock:
            self._connections.add(connection)
        try:
            greet(connection, self._framework, within_s=HANDSHAKE_S)
            if self._listener is None:
                raise Unavailable("the server is stopping")
            yield connection
        finally:
            connection.close()
            with self._lock:
                self._connections.discard(connection)

    def _carry_out(self, connection: Connection, call: Call) -> None:
        message: Answer | Failure
        try:
            message = Answer(call.id, self._dispatch(call))
        except Refused as refused:
            message = Failure(call.id, refused.kind, str(refused))
        except Exception as error:  # noqa: BLE001 - a provider may raise anything; the caller is told
            log.debug("remote call raised", method=call.method, error=repr(error))
            message = Failure(call.id, type(error).__name__, str(error))
        try:
            connection.send(message)
        except InaeticsError as error:
            connection.send(Failure(call.id, type(error).__name__, f"{call.method}: {error}"))


def _wake_and_close(listener: socket.socket) -> None:
    """Closing alone leaves a thread in accept() where it is."""
    with suppress(OSError):  # some systems refuse it for a listener
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
