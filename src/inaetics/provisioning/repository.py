"""The bundle archives a provisioning server has: a directory of its image, read once.

An archive that is not whole is left out and said so; the others are served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inaetics.bundles.archive import Archive, open_archive, pack
from inaetics.bundles.manifest import MANIFEST, Manifest, read_manifest
from inaetics.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Archives by name and version; `refused` says of each file that is left out why."""

    archives: Mapping[tuple[str, str], Archive]
    refused: tuple[str, ...] = ()

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        return tuple(archive.manifest for archive in self.archives.values())


def read_repository(directory: Path) -> Repository:
    """Open every ``*.zip`` in `directory`. Raises `InvalidInput` when it is no directory."""
    if not directory.is_dir():
        raise InvalidInput(f"cannot read bundles: {directory} is no directory (INAETICS_BUNDLES names it)")
    archives: dict[tuple[str, str], Archive] = {}
    refused: list[str] = []
    for path in sorted(directory.glob("*.zip")):
        try:
            archive = open_archive(path)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        key = (archive.manifest.name, archive.manifest.version)
        if key in archives:
            refused.append(f"{path} holds {archive.manifest.key}, as {archives[key].path.name} does")
            continue
        archives[key] = archive
    return Repository(archives=archives, refused=tuple(refused))


def pack_all(sources: Path, out_dir: Path) -> tuple[Path, ...]:
    """Pack every bundle folder in `sources` (those with a manifest) into `out_dir`; returns the archives."""
    return tuple(pack(folder, out_dir) for folder in _bundle_folders(sources))


def read_sources(sources: Path) -> tuple[Manifest, ...]:
    """The manifests of every bundle folder in `sources`."""
    found = ((folder / MANIFEST) for folder in _bundle_folders(sources))
    return tuple(read_manifest(path.read_bytes(), source=str(path)) for path in found)


def _bundle_folders(sources: Path) -> list[Path]:
    return sorted(path.parent for path in sources.glob(f"*/{MANIFEST}"))
