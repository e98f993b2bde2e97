"""What an image registry holds, read from its files: docker-registry's layout on disk, version 2.

    blobs/sha256/ab/abcd…/data                                    content by digest, shared by all repositories
    repositories/NAME/_manifests/revisions/sha256/abcd…/link      a manifest of the repository
    repositories/NAME/_manifests/tags/TAG/current/link            what a tag means
    repositories/NAME/_layers/sha256/abcd…/link                   a blob the repository may be asked for

There is no request that lists a registry's manifests, and none that tells whether what it lists is really there; and
a disk may lose some of it. Little is ever changed here, and only what docker-registry has no request for: tags are
removed, damaged blobs, which it would keep although it is given whole ones, and uploads that were cut off.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inaetics.containers.replicate_plan import DIGEST, NAME

_V2 = "docker/registry/v2"
_UPLOAD = re.compile(rf"/v2/({NAME})/blobs/uploads/([A-Za-z0-9-]{{8,64}})")

_CLOSING_S = 0.2
"""docker-registry writes down how far an upload has come when it notices that it was cut: let it be done with it."""


class RegistryFiles:
    """The files below a registry's `rootdirectory`. What is not there is empty, never an error."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._repositories = root / _V2 / "repositories"
        self._blobs = root / _V2 / "blobs" / "sha256"

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        return sorted(self._names(self._repositories))

    def tags(self, repository: str) -> dict[str, str]:
        """Tag → the digest it means."""
        place = self._manifests(repository) / "tags"
        links = {entry: place / entry / "current" / "link" for entry in _entries(place)}
        return {tag: digest for tag, link in links.items() if (digest := _link(link))}

    def manifests(self, repository: str) -> list[str]:
        """The digests of the repository's manifests, sorted."""
        place = self._manifests(repository) / "revisions" / "sha256"
        return sorted(digest for entry in _entries(place) if (digest := _link(place / entry / "link")))

    def written_ms(self, repository: str, reference: str) -> int:
        """When a tag was last moved, or a manifest written, in milliseconds since 1970."""
        return int(self._reference(repository, reference).stat().st_mtime * 1000)

    def manifest(self, digest: str) -> dict[str, Any]:
        """A manifest's content; raises `ValueError` or `OSError` for what is none or is not there."""
        found = json.loads(self.blob(digest).read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"{digest} is no manifest")  # noqa: TRY004 - content, not a caller's mistake
        return found

    def has_manifest(self, repository: str, digest: str) -> bool:
        """Whether the repository has this manifest, with everything it names."""
        return bool(_link(self._reference(repository, digest))) and self.is_whole(repository, digest)

    def is_whole(self, repository: str, digest: str) -> bool:
        """Whether a manifest is here with everything it names, in the sizes it names."""
        try:
            manifest = self.manifest(digest)
            return all(self._holds(repository, part) for part in parts(manifest)) and all(
                self.is_whole(repository, child["digest"]) for child in children(manifest)
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def blob(self, digest: str) -> Path:
        """Where a blob's content is, if it is here."""
        name = digest.removeprefix(DIGEST)
        return self._blobs / name[:2] / name / "data"

    def holder(self, digest: str) -> str | None:
        """A repository that may be asked for this blob, or None."""
        name = digest.removeprefix(DIGEST)
        for repository in self.repositories():
            if self._layer(repository, name).exists() and self.blob(digest).exists():
                return repository
        return None

    def remove_damaged(self, digest: str) -> None:
        """Take a blob away that is not what it should be, so that it can be written anew."""
        self.blob(digest).unlink(missing_ok=True)

    def remove_upload(self, path: str) -> None:
        """Take away what came of the unfinished upload with this request's path or URL, if it is one.

        docker-registry deletes only an upload whose client says how far it has come, and keeps others for a day.
        """
        import shutil

        if found := _UPLOAD.fullmatch(urlsplit(path).path):
            time.sleep(_CLOSING_S)
            shutil.rmtree(self._repositories / found[1] / "_uploads" / found[2], ignore_errors=True)

    def remove_tag(self, repository: str, tag: str) -> None:
        """Take a tag away; what it meant stays. One that is not there is no error."""
        import shutil  # half a megabyte that an idle gate can do without

        shutil.rmtree(self._manifests(repository) / "tags" / tag, ignore_errors=True)

    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(map(_size, self._blobs.glob("*/*/data")))

    def _holds(self, repository: str, part: dict[str, Any]) -> bool:
        digest: str = part["digest"]
        there = self.blob(digest).stat().st_size == part["size"]
        return there and self._layer(repository, digest.removeprefix(DIGEST)).exists()

    def _layer(self, repository: str, name: str) -> Path:
        return self._repositories / repository / "_layers" / "sha256" / name / "link"

    def _manifests(self, repository: str) -> Path:
        return self._repositories / repository / "_manifests"

    def _reference(self, repository: str, reference: str) -> Path:
        place = self._manifests(repository)
        if reference.startswith(DIGEST):
            return place / "revisions" / "sha256" / reference.removeprefix(DIGEST) / "link"
        return place / "tags" / reference / "current" / "link"

    def _names(self, place: Path, prefix: str = "") -> Iterator[str]:
        for entry in _entries(place):
            if entry == "_manifests":
                yield prefix.removesuffix("/")
            elif not entry.startswith("_"):
                yield from self._names(place / entry, f"{prefix}{entry}/")


def parts(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The blobs a manifest names: its configuration and its layers."""
    config = manifest.get("config")
    return [*([config] if config else []), *manifest.get("layers", ())]


def children(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests that an index (an image for several architectures) names."""
    return list(manifest.get("manifests", ()))


def _entries(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(file: Path) -> int:
    """0 for one that has just gone: uploads end, and blobs are taken away, while this looks."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _link(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except OSError:
        return ""
    return text if text.startswith(DIGEST) else ""
