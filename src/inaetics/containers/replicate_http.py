"""Speaking the OCI distribution protocol to a registry: another host's over mutual TLS, the own one over its socket.

Bodies are streamed, never held. Every wait is bounded: a peer that falls silent is an error after `timeout_s`.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inaetics.containers.distribution import MANIFESTS, host_and_port, missing, registry_context, unanswered, words_of
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.errors import InaeticsError, NotFound, Unavailable
from inaetics.override import override

MOST_MANIFEST = 4 * 1024 * 1024
"""docker-registry takes no larger one."""

PIECE = 128 * 1024
SILENT_S = 15.0
GOOD = range(200, 300)

Answer = http.client.HTTPResponse


class Refused(InaeticsError):
    """A registry answered, and not with what was asked for; `status` is its answer's."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("registry", timeout=timeout_s)
        self._path = str(path)

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class Endpoint:
    """A registry that is asked for things; each request has a connection of its own. Any thread may use it.

    Raises `Unavailable` when it does not answer, `NotFound` for what it does not have, `Refused` with its words for
    everything else.
    """

    def __init__(self, name: str, *, timeout_s: float = SILENT_S) -> None:
        self.name = name
        self.timeout_s = timeout_s

    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """A new connection, not yet open."""
        raise NotImplementedError

    @contextmanager
    def asked(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Iterator[bytes] | bytes | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Answer]:
        """The answer to a request, open for reading within the block."""
        connection = self.connection(timeout_s or self.timeout_s)
        try:
            connection.connect()
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had heard all
                connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            if answer.status not in GOOD:
                raise self._refused(method, path, answer)
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise unanswered(self.name, error) from error
        finally:
            connection.close()

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest as it is, and its media type."""
        path = f"/v2/{repository}/manifests/{reference}"
        with self.asked("GET", path, headers={"Accept": MANIFESTS}) as answer:
            return answer.read(MOST_MANIFEST + 1), answer.getheader("Content-Type", "")

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether it would give this blob."""
        try:
            with self.asked("HEAD", f"/v2/{repository}/blobs/{digest}"):
                return True
        except NotFound:
            return False

    def json(self, path: str, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None) -> Any:
        """What it answers to a GET, as a value."""
        with self.asked("GET", path, headers=headers, timeout_s=timeout_s) as answer:
            content = answer.read()
        try:
            return json.loads(content)
        except ValueError as error:
            raise Unavailable(f"the registry at {self.name} answered no JSON to {path}: {error}") from error

    def _refused(self, method: str, path: str, answer: Answer) -> InaeticsError:
        if answer.status == http.HTTPStatus.NOT_FOUND and method in ("GET", "HEAD"):
            return missing(self.name, path)
        words = words_of(answer.read(2000))
        doing = f"{method} {path.partition('?')[0]}"
        return Refused(f"the registry at {self.name} refused {doing} ({answer.status}): {words}", status=answer.status)


class Peer(Endpoint):
    """The registry at `address` ("127.17.8.102:5000"); `certificates` holds ca.crt, client.cert and client.key."""

    def __init__(self, address: str, certificates: Path) -> None:
        super().__init__(address)
        self._host, self._port = host_and_port(address)
        self._certificates = certificates
        self._context: ssl.SSLContext | None = None

    @override
    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._context is None:
            self._context = registry_context(self.name, self._certificates)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._context)


class Own(Endpoint):
    """The host's own registry, behind its socket; `files` are what it has on its disk."""

    def __init__(self, socket_path: Path, files: RegistryFiles, *, timeout_s: float = SILENT_S) -> None:
        super().__init__("this host", timeout_s=timeout_s)
        self.socket_path, self.files = socket_path, files

    @override
    def connection(self, timeout_s: float) -> SocketConnection:
        return SocketConnection(self.socket_path, timeout_s=timeout_s)

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        """Give a manifest its digest or a tag as its name; its parts must be there."""
        path = f"/v2/{repository}/manifests/{reference}"
        with self.asked("PUT", path, headers={"Content-Type": media_type}, body=content):
            return

    def remove_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest, and the tags that mean it; none is no error."""
        try:
            with self.asked("DELETE", f"/v2/{repository}/manifests/{digest}"):
                return
        except Refused as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Have `repository` take a blob over from `source`; returns whether it did."""
        with self.asked("POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={source}") as answer:
            location = answer.getheader("Location", "")
            mounted = answer.status == http.HTTPStatus.CREATED
        if not mounted:
            self.files.remove_upload(location)
        return mounted

    def upload(self, repository: str, digest: str, size: int, content: Iterator[bytes]) -> None:
        """Add a blob; the registry itself compares it with `digest`. One that is cut off leaves nothing."""
        with self.asked("POST", f"/v2/{repository}/blobs/uploads/") as answer:
            location = answer.getheader("Location", "")
        joint = "&" if "?" in location else "?"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        try:
            with self.asked("PUT", f"{location}{joint}digest={digest}", headers=headers, body=content):
                return
        except BaseException:
            self.files.remove_upload(location)  # it takes room on a disk that may be full
            raise
