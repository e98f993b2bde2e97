"""The way to a fleet elsewhere: each connection is one `ssh`, whose input and output are the connection.

So there is no socket here that others could use, nothing to clean up after a kill, and a way that broke is made anew
by whoever connects again. ssh does what it does for everybody: names, keys, known hosts, jumps. A Unix socket over
there is reached by a few lines that the python3 over there is given (`far_end`); an https endpoint by ssh's own
forwarding, which needs no shell, and the certificate stays here.

Promises: whatever keeps ssh from getting there is raised with its words and what helps; every wait is bounded; when a
connection is closed, or this process ends however it ends, its ssh ends.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from inaetics.api import far_end
from inaetics.api.endpoint import ClientTls, address_of, client_context, socket_path
from inaetics.api.ssh import UNREACHED, SshHost, trouble
from inaetics.errors import InaeticsError, Unavailable
from inaetics.override import override

CLUSTER = "cluster://"
"""Begins an endpoint that stands for whichever of a cluster's sockets answers over there."""

LOGINS = 4
"""How many log in at once: sshd turns others away when ten are at it (MaxStartups)."""

ASKED_S = 120.0
"""How long somebody at a terminal may take over what ssh asks; sshd itself waits as long (LoginGraceTime)."""

ENDING_S = 2.0
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_MAX_NOISE = 256 * 1024


class SshEnded(ConnectionError):
    """The way broke off; `strerror` says how. For those who try again, as any broken connection."""


class Channel:
    """One connection through ssh: `socket` speaks to what is over there."""

    def __init__(self, command: Sequence[str], host: SshHost) -> None:
        """Start ssh; raises `InaeticsError` when there is none here."""
        self._host = host
        # No pipe: ssh may leave a process behind that holds it.
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the channel
        self.used = False
        """Whether an answer has come through: then whatever ends it later is no trouble of getting there."""
        self.socket, theirs = socket.socketpair()
        try:
            self._ssh = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=self._words)
        except FileNotFoundError as error:
            self._words.close()
            self.socket.close()
            raise InaeticsError(
                f"cannot reach {host.name}: there is no program 'ssh' here (apt install openssh-client)"
            ) from error
        finally:
            theirs.close()

    def close(self) -> None:
        """End ssh, if it has not ended."""
        self.socket.close()
        if self._ssh.poll() is None:
            self._ssh.terminate()
            try:
                self._ssh.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                self._ssh.kill()
                self._ssh.wait()
        self._words.close()

    def answer(self, timeout_s: float) -> list[str | int | None]:
        """The far end's first line; raises what kept it from being said."""
        deadline = time.monotonic() + self.patience_s(timeout_s)
        said = bytearray()
        while len(said) < _MAX_NOISE:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                piece = self.socket.recv(4096)
            except TimeoutError:
                raise trouble(self._host, self._read(), None) from None
            except ConnectionError:  # ssh went away before it took what was sent
                piece = b""
            if not piece:
                raise self.failure()
            said += piece
            for line in bytes(said).split(b"\n")[:-1]:
                if line.startswith(far_end.SAYS.encode()):
                    return msgspec.json.decode(line[len(far_end.SAYS) :], type=list[str | int | None])
        raise Unavailable(f"cannot reach the fleet through {self._host.name}: a login there writes without end")

    def failure(self) -> InaeticsError:
        """Why ssh ended, or is about to."""
        try:
            status: int | None = self._ssh.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            status = None
        return trouble(self._host, self._read(), status)

    def patience_s(self, timeout_s: float) -> float:
        """How long its first word may take, when an answer may take `timeout_s`."""
        return self._host.timeout_s + timeout_s + (ASKED_S if self._host.asking else 0.0)

    def check(self, error: Exception) -> None:
        """Raise why ssh ended, when that is what the error comes from; `SshEnded` when it had got there before."""
        if isinstance(error, TimeoutError) or (isinstance(error, ssl.SSLError) and not isinstance(error, _CUT)):
            return
        try:
            status = self._ssh.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            return
        words = self._read()
        if status == 0:  # what is over there closed the connection, and said why if it did
            return
        why = trouble(self._host, words, status)
        if UNREACHED in words or self.used:
            raise SshEnded(None, str(why)) from error
        raise why from error

    def _read(self) -> str:
        self._words.seek(0)
        return self._words.read().decode(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """The machine through which every connection goes."""

    host: SshHost
    _logins: threading.Semaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(LOGINS), repr=False, compare=False
    )

    @contextmanager
    def logging_in(self) -> Iterator[None]:
        """Wait until few enough others do."""
        with self._logins:
            yield

    def open(self, endpoint: str, *, timeout_s: float) -> Channel:
        """A way to `endpoint`, as it is seen from over there.

        One to an https endpoint may turn out not to lead there once something is sent. Raises `ConnectionError` when
        nobody listens, and what kept ssh from getting there as the error it means.
        """
        if endpoint.startswith("https:"):
            host, port = address_of(endpoint)
            return Channel(self.host.forwarding(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"), self.host)
        where, cluster = _place(endpoint)
        channel, said = self._asked(f"through({where!r}, {cluster!r})", timeout_s)
        try:
            self._check(said, cluster)
        except BaseException:
            channel.close()
            raise
        return channel

    def program(self, endpoint: str, *, timeout_s: float) -> tuple[str, list[str]]:
        """The Python that serves the socket over there, and the variables by which it finds its cluster."""
        where, cluster = _place(endpoint)
        channel, said = self._asked(f"program({where!r}, {cluster!r})", timeout_s)
        channel.close()
        self._check(said, cluster)
        python, *places = map(str, said[1:])
        return python, places

    def _asked(self, call: str, timeout_s: float) -> tuple[Channel, list[str | int | None]]:
        text = Path(far_end.__file__).read_bytes() + f"\n{call}\n".encode()
        read = f"python3 -ISc 'import sys;exec(sys.stdin.buffer.read({len(text)}))'"
        channel = Channel(self.host.command(read), self.host)
        try:
            try:
                channel.socket.sendall(text)
            except ConnectionError:
                raise channel.failure() from None
            return channel, channel.answer(timeout_s)
        except BaseException:
            channel.close()
            raise

    def _check(self, said: list[str | int | None], cluster: str) -> None:
        """Raise what the far end could not do."""
        what, *words = said
        if what == "none":
            name = f" --cluster {cluster}" if cluster != "demo" else ""
            raise Unavailable(
                f"no fleet API of cluster {cluster!r} runs for {words[0]} on {self.host.name}: its sockets are its"
                " owner's only (log in as whoever runs it: --tunnel USER@HOST; another cluster: --cluster NAME;"
                f" another machine's: --endpoint https://ADDRESS; start it there: inaetics up{name})"
            )
        if what == "refused":
            raise ConnectionError(words[0], f"{words[1]} on {self.host.name}")


def _place(endpoint: str) -> tuple[str | tuple[str, int] | None, str]:
    """Where the far end connects to, and in which cluster it looks when that is not said."""
    if endpoint.startswith(CLUSTER):
        return None, endpoint.removeprefix(CLUSTER)
    return socket_path(endpoint) or address_of(endpoint), ""


class TunnelledConnection(http.client.HTTPConnection):
    """HTTP through a tunnel, inside TLS if the endpoint wants it."""

    def __init__(self, tunnel: Tunnel, endpoint: str, tls: ClientTls | None, *, timeout: float) -> None:
        secure = endpoint.startswith("https:")
        host, port = address_of(endpoint) if secure else ("localhost", None)
        super().__init__(host, port, timeout=timeout)
        self._tunnel = tunnel
        self._endpoint = endpoint
        self._patience_s = timeout
        self._context: ssl.SSLContext | None = client_context(endpoint, tls) if secure else None
        self._channel: Channel | None = None
        self._answering = False

    @override
    def connect(self) -> None:
        self._end()
        with self._tunnel.logging_in():
            channel = self._channel = self._tunnel.open(self._endpoint, timeout_s=self._patience_s)
            self.sock = channel.socket
            if self._context is not None:
                self.sock.settimeout(channel.patience_s(self._patience_s))
                try:
                    self.sock = self._context.wrap_socket(channel.socket, server_hostname=self.host)
                except OSError as error:
                    channel.check(error)
                    raise
        self.sock.settimeout(self._patience_s)

    @override
    def getresponse(self) -> http.client.HTTPResponse:
        self._answering = True
        try:
            response = super().getresponse()
        except (OSError, http.client.HTTPException) as error:
            if self._channel is not None:
                self._channel.check(error)
            raise
        finally:
            self._answering = False
        if self._channel is not None:
            self._channel.used = True
        return response

    @override
    def close(self) -> None:
        super().close()
        if not self._answering:  # it closes by itself while an answer is read that ends with the connection
            self._end()

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
