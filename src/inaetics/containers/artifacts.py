"""Files in an image registry, beside images: OCI artifacts of one layer, named by their SHA-256.

Plain HTTP requests over mutual TLS with the standard library, so that node images can have it too. What is fetched is
what was asked for: content whose hash differs is refused, whoever sends it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from inaetics.containers.distribution import OCI_MANIFEST, host_and_port, missing, unanswered, words_of
from inaetics.errors import InaeticsError, InvalidInput, NotFound, Unavailable

TIMEOUT_S = 10.0
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What `push` brings: the file, what it is, and a description beside it."""

    data: bytes
    media_type: str
    config: bytes
    config_type: str


class ArtifactRegistry:
    """The registry at `address` (HOST:PORT); without `context` in plain HTTP, for tests. Every call connects anew.

    Calls raise `Unavailable` when it does not answer and `NotFound` for what it has not.
    """

    def __init__(self, address: str, context: ssl.SSLContext | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._host, self._port = host_and_port(address)
        self.address = address
        self._context = context
        self._timeout_s = timeout_s

    def holds(self, repository: str, sha256: str) -> bool:
        """Whether it has a file with this hash in `repository`."""
        try:
            with closing(self._connect()) as connection:
                self._ask(connection, "HEAD", f"/v2/{repository}/blobs/sha256:{sha256}")
        except NotFound:
            return False
        return True

    def fetch(self, repository: str, sha256: str, *, limit: int) -> bytes:
        """The file with this hash. Raises `InvalidInput` for content that is another, or larger than `limit` bytes."""
        with closing(self._connect()) as connection:
            data = self._ask(connection, "GET", f"/v2/{repository}/blobs/sha256:{sha256}", limit=limit)[0]
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise InvalidInput(
                f"the registry at {self.address} gave something else for sha256 {sha256[:16]}… of {repository}: "
                f"{len(data)} bytes with sha256 {found[:16]}…"
            )
        return data

    def push(self, repository: str, tag: str, payload: Payload) -> str:
        """Bring a file there, and let `tag` mean it; returns the digest of its manifest. Idempotent.

        The manifest comes last: a push that is cut leaves nothing that anybody would find.
        """
        with closing(self._connect()) as connection:
            parts = [self._blob(connection, repository, data) for data in (payload.data, payload.config)]
            manifest = _manifest(payload, *parts)
            path = f"/v2/{repository}/manifests/{tag}"
            self._ask(connection, "PUT", path, body=manifest, headers={"Content-Type": OCI_MANIFEST})
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    def remove(self, repository: str, tag: str) -> None:
        """Let go of a tag; what no tag means is garbage then. That there is none is no error."""
        with closing(self._connect()) as connection, suppress(NotFound):
            self._ask(connection, "DELETE", f"/v2/{repository}/manifests/{tag}")

    def _blob(self, connection: http.client.HTTPConnection, repository: str, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        try:
            self._ask(connection, "HEAD", f"/v2/{repository}/blobs/{digest}")
        except NotFound:
            _, headers = self._ask(connection, "POST", f"/v2/{repository}/blobs/uploads/")
            place = urlsplit(headers.get("location", ""))
            query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
            kind = {"Content-Type": "application/octet-stream"}
            self._ask(connection, "PUT", f"{place.path}?{query}", body=data, headers=kind)
        return digest

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._context)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = _CHUNK,
    ) -> tuple[bytes, dict[str, str]]:
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read(limit + 1)
        except (OSError, http.client.HTTPException) as error:
            raise unanswered(self.address, error) from error
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            connection.close()
            raise self._refusal(method, path, response.status, content)
        if len(content) > limit:
            connection.close()
            raise InvalidInput(f"the registry at {self.address} sends more than {limit} bytes for {path}")
        return content, {name.lower(): value for name, value in response.getheaders()}

    def _refusal(self, method: str, path: str, status: int, content: bytes) -> InaeticsError:
        if status == http.HTTPStatus.NOT_FOUND:
            return missing(self.address, path)
        what, words = path.removeprefix("/v2/"), words_of(content)
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.METHOD_NOT_ALLOWED):
            return InvalidInput(f"the registry at {self.address} does not let us {method} {what}: {words or status}")
        return Unavailable(f"the registry at {self.address} answered {status} to {method} {what}: {words}")


def fetch_from_any(registries: Sequence[ArtifactRegistry], repository: str, sha256: str, *, limit: int) -> bytes:
    """The file from the first registry that gives it; raises `Unavailable`, with everybody's words, when none does."""
    said: list[str] = []
    for registry in registries:
        try:
            return registry.fetch(repository, sha256, limit=limit)
        except InaeticsError as error:
            said.append(str(error))
    raise Unavailable("; ".join(said) or "no registry is known (INAETICS_REGISTRY names it)")


def _manifest(payload: Payload, layer: str, config: str) -> bytes:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": payload.config_type, "digest": config, "size": len(payload.config)},
        "layers": [{"mediaType": payload.media_type, "digest": layer, "size": len(payload.data)}],
    }
    return json.dumps(manifest, sort_keys=True).encode()
