"""Asking an image registry what it holds, over mutual TLS and with nothing but the standard library.

Only looking: images are pushed and pulled by the engine, which knows best how.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inaetics.containers.distribution import MANIFESTS, host_and_port, missing, registry_context, unanswered, words_of
from inaetics.errors import NotFound, Unavailable
from inaetics.override import override

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """One tag of a repository.

    `digest` names the manifest, as in `repository@sha256:…`; `identity` is the digest of the image's configuration,
    the same that the engine calls its id; `size` counts the compressed layers in bytes.
    """

    repository: str
    tag: str
    digest: str
    identity: str
    size: int


class Registry:
    """One connection to the registry at `address` ("127.17.8.2:5000"); use it in a `with` block.

    `certificates` holds ca.crt, client.cert and client.key. Everything raises `Unavailable` when the registry does
    not answer or they cannot be used, `NotFound` for a repository or tag that there is not.
    """

    def __init__(self, address: str, certificates: Path, *, timeout_s: float = 10.0) -> None:
        host, port = host_and_port(address)
        self.address = address
        context = registry_context(address, certificates)
        self._connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self._connection.close()

    @override
    def __repr__(self) -> str:
        return f"Registry({self.address!r})"

    def ping(self) -> None:
        """Return when the registry answers."""
        self._json("/v2/")

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        return sorted(self._pages(f"/v2/_catalog?n={_PAGE}", "repositories"))

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository, sorted; none when all were deleted."""
        return sorted(self._pages(f"/v2/{repository}/tags/list?n={_PAGE}", "tags"))

    def image(self, repository: str, tag: str) -> RemoteImage:
        """What a tag means now."""
        manifest, digest = self._manifest(repository, tag)
        if "manifests" in manifest:
            # A list for several architectures: its first is as good as any for a look.
            manifest, _ = self._manifest(repository, manifest["manifests"][0]["digest"])
        size = sum(layer["size"] for layer in manifest["layers"])
        identity = manifest["config"]["digest"]
        return RemoteImage(repository=repository, tag=tag, digest=digest, identity=identity, size=size)

    def manifest(self, repository: str, reference: str) -> tuple[str, dict[str, int]]:
        """The digest that a tag (or digest) means, and its layers with their compressed sizes."""
        manifest, digest = self._manifest(repository, reference)
        if "manifests" in manifest:
            manifest, _ = self._manifest(repository, manifest["manifests"][0]["digest"])
        try:
            layers = {str(layer["digest"]): int(layer["size"]) for layer in manifest["layers"]}
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"what the registry at {self.address} has as {repository} is no image") from error
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise Unavailable(f"the registry at {self.address} gives no digest of {repository}")
        return digest, layers

    def configuration(self, repository: str, identity: str) -> dict[str, Any]:
        """What an image says of itself (labels, history): the content of the blob `identity`."""
        return self._json(f"/v2/{repository}/blobs/{identity}")[0]

    def images(self) -> Iterator[RemoteImage]:
        """Every tag of every repository, in order. A tag deleted meanwhile is left out."""
        for repository in self.repositories():
            try:
                for tag in self.tags(repository):
                    yield self.image(repository, tag)
            except NotFound:
                continue

    def _manifest(self, repository: str, reference: str) -> tuple[dict[str, Any], str]:
        body, headers = self._json(f"/v2/{repository}/manifests/{reference}", {"Accept": MANIFESTS})
        return body, headers.get("docker-content-digest", "")

    def _pages(self, path: str, key: str) -> Iterator[str]:
        while path:
            body, headers = self._json(path)
            yield from body.get(key) or ()
            following = re.match(r'<([^>]+)>;\s*rel="next"', headers.get("link", ""))
            path = following[1] if following else ""

    def _json(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[dict[str, Any], Mapping[str, str]]:
        try:
            self._connection.request("GET", path, headers=dict(headers or {}))
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise unanswered(self.address, error) from error
        if response.status == http.HTTPStatus.NOT_FOUND:
            raise missing(self.address, path)
        if response.status != http.HTTPStatus.OK:
            words = words_of(content)
            raise Unavailable(f"the registry at {self.address} answered {response.status} to {path}: {words}")
        return json.loads(content), {name.lower(): value for name, value in response.getheaders()}
