"""How an agent asks a provisioning server: held questions and downloads, over plain HTTP with checked content."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec

from inaetics.bundles.archive import MAX_BYTES, Archive, open_archive
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.errors import InvalidInput, Unavailable

TIMEOUT_S = 5.0
MAX_ANSWER = 4 * 1024 * 1024


class ProvisioningClient:
    """Asks the server at `url`, which is told `where` we are. One thread asks; another may `cancel` its question."""

    def __init__(self, url: str, *, where: str = "") -> None:
        self.url = url
        self._where = where
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._cancelled = False

    def deployment(self, target: str, *, after: str, running: str, error: str, wait_s: float) -> Deployment | None:
        """The deployment of `target` once its version is not `after`; None when that is not so within `wait_s`.

        `running` and `error` tell the server how the agent is. Raises `Unavailable`.
        """
        asked = {"after": after, "wait_s": wait_s, "running": running, "error": error[:1000], "where": self._where}
        query = urlencode({name: value for name, value in asked.items() if value != ""})
        body = self._get(f"{self.url}/deployments/{quote(target, safe='')}?{query}", MAX_ANSWER, TIMEOUT_S + wait_s)
        if body is None:
            return None
        try:
            return msgspec.json.decode(body, type=Deployment)
        except msgspec.DecodeError as failure:
            raise Unavailable(
                f"the provisioning server at {self.url} answers what we do not know: {failure}"
            ) from failure

    def fetch(self, bundle: DeployedBundle, directory: Path) -> Archive:
        """Download `bundle` into `directory` and check it; an archive that is there already is checked and taken.

        Raises `Unavailable` when it cannot be had and `InvalidInput` when it is not what the deployment says.
        """
        path = archive_path(bundle, directory)
        try:
            return open_archive(path, sha256=bundle.sha256)
        except InvalidInput:
            pass  # not there, or cut by a power failure: fetch it
        body = self._get(urljoin(f"{self.url}/", bundle.url.lstrip("/")), MAX_BYTES * 2, TIMEOUT_S) or b""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_bytes(body)
            archive = open_archive(partial, sha256=bundle.sha256)
            if archive.manifest.key != f"{bundle.name}-{bundle.version}":
                raise InvalidInput(f"the archive of {bundle.name}-{bundle.version} says it is {archive.manifest.key}")
            partial.replace(path)
        except OSError as error:
            raise Unavailable(f"cannot keep bundle {bundle.name} in {directory}: {error.strerror or error}") from error
        return replace(archive, path=path)

    def cancel(self) -> None:
        """Make a question that is being asked, and every later one, fail with `Unavailable`. Safe from any thread."""
        with self._lock:
            self._cancelled = True
            connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):  # it may have ended by itself
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _get(self, url: str, limit: int, timeout_s: float) -> bytes | None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise Unavailable(f"cannot ask a provisioning server at {url!r}: its address must be http://HOST:PORT")
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
        try:
            self._begin(connection)
            connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
            response = connection.getresponse()
            body = response.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the provisioning server at {self.url} does not answer: {error}") from error
        finally:
            with self._lock:
                self._connection = None
            connection.close()
        if response.status == 304:
            return None
        if response.status != 200 or len(body) > limit:
            words = body[:300].decode("utf-8", "replace")
            raise Unavailable(f"the provisioning server at {self.url} answers {response.status}: {words}")
        return body

    def _begin(self, connection: http.client.HTTPConnection) -> None:
        connection.connect()
        with self._lock:
            if self._cancelled:
                raise ConnectionAbortedError("cancelled")
            self._connection = connection


def archive_path(bundle: DeployedBundle, directory: Path) -> Path:
    """Where a bundle's archive is kept: one file for each content, never overwritten while it is used."""
    return directory / f"{bundle.name}-{bundle.version}-{bundle.sha256[:16]}.zip"
