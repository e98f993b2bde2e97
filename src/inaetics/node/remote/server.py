"""Answers the calls of other agents: listens, greets callers and serves each connection (`session`).

Bounds: so many connections, so many calls at once on each (`wire.WINDOW`), so many threads for slow calls, so many
bytes of large frames (`budget`). When threads or bytes are used up, a connection reads no further: its callers wait.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress

import structlog

from inaetics.errors import InaeticsError, Unavailable
from inaetics.node.remote.budget import Budget
from inaetics.node.remote.endpoints import Endpoints
from inaetics.node.remote.greeting import greet
from inaetics.node.remote.overseer import Overseer
from inaetics.node.remote.session import Session
from inaetics.node.remote.stream import Stream, prepare, secured
from inaetics.node.remote.wire import Frames
from inaetics.node.remote.workers import Workers

log = structlog.get_logger()

HANDSHAKE_S = 5.0
MAX_CONNECTIONS = 512
MAX_SLOW = 256
"""Threads for calls that take longer, of all connections together."""
PAUSE_S = 0.1
_BACKLOG = 128


class Server:
    """Listens on one address, any free port, from `start` to `stop`."""

    def __init__(self, address: str, framework: str, endpoints: Endpoints, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._framework = framework
        self._endpoints = endpoints
        self._tls = tls
        self._lock = threading.Lock()
        self._connected: set[socket.socket] = set()
        self._sessions: set[Session] = set()
        self._budget = Budget()
        self._readers = Workers(MAX_CONNECTIONS + MAX_SLOW)
        self._workers = Workers(MAX_SLOW)
        self._overseer = Overseer()
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

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._connected)

    def drain(self, within_s: float) -> bool:
        """Refuse new calls and connections, and wait for calls under way; returns whether they ended in time."""
        self._stop_listening()
        end = time.monotonic() + within_s
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.stop_taking()
        while any(session.busy for session in sessions):
            if time.monotonic() >= end:
                return False
            time.sleep(_LOOK_S)
        return True

    def stop(self) -> None:
        """Take no more calls and close every connection; calls that are being carried out get no answer. Idempotent."""
        self._stop_listening()
        with self._lock:
            connected, self._connected = self._connected, set()
        for stream in connected:
            _wake_and_close(stream)
        self._overseer.close()
        self._readers.close()
        self._workers.close()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            _wake_and_close(listener)

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connected, peer = listener.accept()
                self._admit(connected, peer[0])
            except OSError as error:  # out of files or threads: others end, and there is room again
                if self._listener is listener:
                    log.error("cannot accept a remote caller", error=str(error))  # noqa: TRY400 - the words are enough
                    time.sleep(PAUSE_S)

    def _admit(self, connected: socket.socket, peer: str) -> None:
        with self._lock:
            full = len(self._connected) >= MAX_CONNECTIONS
            if not full:
                self._connected.add(connected)
        if full or not self._readers.submit(lambda: self._serve(connected, peer)):
            self._forget(connected)
            connected.close()
            raise OSError(f"{MAX_CONNECTIONS} connections are open, {peer} was turned away")

    def _serve(self, connected: socket.socket, peer: str) -> None:
        """Shake hands, greet and serve. Who dawdles holds up nobody."""
        try:
            session = self._greeted(connected)
        except ssl.SSLError as error:
            log.warning("caller without a certificate of the cluster?", peer=peer, error=str(error))
        except (OSError, InaeticsError) as error:
            log.debug("connection ended", peer=peer, error=str(error))
        else:
            session.serve()
            return
        self._forget(connected)
        connected.close()

    def _greeted(self, connected: socket.socket) -> Session:
        prepare(connected)
        stream = secured(connected, self._tls, within_s=HANDSHAKE_S) if self._tls else Stream(connected)
        frames = Frames()
        hello, behind = greet(stream, frames, self._framework, within_s=HANDSHAKE_S)

        def closed(session: Session) -> None:
            self._forget(connected)
            with self._lock:
                self._sessions.discard(session)

        session = Session(
            stream,
            frames,
            hello.framework,
            endpoints=self._endpoints,
            budget=self._budget,
            readers=self._readers,
            workers=self._workers,
            overseer=self._overseer,
            closed=closed,
        )
        with self._lock:
            self._sessions.add(session)
        if self._listener is None:
            session.stop_taking()
        session.take(behind)
        return session

    def _forget(self, connected: socket.socket) -> None:
        with self._lock:
            self._connected.discard(connected)


_LOOK_S = 0.005


def _wake_and_close(stream: socket.socket) -> None:
    """Closing alone leaves a thread in accept() or recv() where it is."""
    with suppress(OSError):  # not connected any more; some systems refuse it for a listener
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()
