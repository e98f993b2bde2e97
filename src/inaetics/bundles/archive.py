"""Bundle archives: the form in which software travels to node agents.

A bundle's source is one folder that is a Python package and holds a ``bundle.json``::

    processor/                 the folder's name is the bundle's name
        bundle.json            {"name": "processor", "version": "1.0.0", "entry": "component",
                                "requires": ["statistics"], "provides": ["samples.processing"]}
        __init__.py
        component.py           the entry: a Pelix activator and/or iPOPO factories
        page.html              anything else the code reads with importlib.resources

Its archive ``processor-1.0.0.zip`` holds ``bundle.json`` and the folder ``processor/``. Promises: packing the same
files gives the same bytes on any machine (stored, sorted, one date); an archive that was opened is whole (every
checksum was read), names nothing outside itself and holds what its manifest says. Archives are never extracted: the
loader imports from them as they are.

A bundle of the kind ``osgi`` is one for Java agents: its archive holds, beside ``bundle.json``, one jar with the
bundle's name, ``processor_java/processor_java.jar``, and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inaetics.bundles.manifest import MANIFEST, OSGI, Manifest, read_manifest, version_order, write_manifest
from inaetics.errors import InvalidInput

MAX_BYTES = 64 * 1024 * 1024
"""Content of one archive, unpacked; more is refused before anything is read (a small zip can announce terabytes)."""
MAX_FILES = 2000

_UNREADABLE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, RuntimeError, ValueError, OSError)
"""Everything `zipfile` raises for a file that was cut or altered somewhere."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A bundle archive that was opened and found whole. `sha256` is of the file, in hex."""

    path: Path
    manifest: Manifest
    sha256: str
    size: int


def pack(folder: Path, out_dir: Path) -> Path:
    """Pack the bundle in `folder` into `out_dir`; returns ``<name>-<version>.zip``. The same files give the same bytes.

    Raises `InvalidInput` when the manifest is wrong or missing, when a module does not compile, or when the folder
    holds links; hidden files and byte code are left out.
    """
    manifest = _manifest_of(folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), write_manifest(manifest))
        for path in _files(folder):
            data = path.read_bytes()
            _check_compiles(path, data)
            archive.writestr(_entry(f"{manifest.name}/{path.relative_to(folder).as_posix()}"), data)
    data = buffer.getvalue()
    _verify(io.BytesIO(data), source=str(folder))
    out_dir.mkdir(parents=True, exist_ok=True)
    target = out_dir / f"{manifest.key}.zip"
    partial = target.with_suffix(f".zip.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(target)
    return target


def open_archive(path: Path, *, sha256: str | None = None) -> Archive:
    """Open `path` and check all of it; with `sha256`, refuse a file whose hash differs, before looking inside.

    Raises `InvalidInput` for a file that is cut, altered, no bundle, or names a path outside itself.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot open bundle archive {path}: {error.strerror or error}") from error
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise InvalidInput(
            f"bundle archive {path} is not what was asked for: its sha256 is {digest}, expected {sha256} "
            "(fetch it again)"
        )
    manifest = _verify(io.BytesIO(data), source=str(path))
    return Archive(path=path, manifest=manifest, sha256=digest, size=len(data))


def _manifest_of(folder: Path) -> Manifest:
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot pack {folder}: it has no readable {MANIFEST} ({error.strerror or error})"
        ) from error
    manifest = read_manifest(data, source=str(folder / MANIFEST))
    if manifest.name != folder.resolve().name:
        raise InvalidInput(
            f"cannot pack {folder}: its manifest names {manifest.name!r}; folder and name must be the same"
        )
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    """Every file to pack in a fixed order, the manifest and what editors and Python leave behind excepted."""
    for path in sorted(folder.rglob("*"), key=lambda found: found.relative_to(folder).as_posix()):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts) or parts == (MANIFEST,):
            continue
        if path.is_symlink():
            raise InvalidInput(f"cannot pack {folder}: {path} is a link; bundles hold plain files")
        if path.is_file():
            yield path


def _check_compiles(path: Path, data: bytes) -> None:
    if path.suffix != ".py":
        return
    try:
        compile(data, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise InvalidInput(f"cannot pack {path}: {error}") from error


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _verify(file: io.BytesIO, *, source: str) -> Manifest:
    """Read every byte of the archive and return its manifest."""
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_entries(infos, source)
            if (broken := archive.testzip()) is not None:
                raise InvalidInput(f"bundle archive {source} is corrupt at {broken!r} (fetch or pack it again)")
            manifest = read_manifest(archive.read(MANIFEST), source=f"{source}:{MANIFEST}")
    except _UNREADABLE as error:
        raise InvalidInput(f"cannot open bundle archive {source}: {error}") from error
    names = {info.filename for info in infos}
    if manifest.kind == OSGI:
        _check_jar(manifest, file, names, source)
    else:
        _check_package(manifest, names, source)
    return manifest


def _check_entries(infos: list[zipfile.ZipInfo], source: str) -> None:
    names = [info.filename for info in infos]
    if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_BYTES:
        raise InvalidInput(f"bundle archive {source} holds more than {MAX_FILES} files or {MAX_BYTES} bytes")
    if len(set(names)) != len(names):
        raise InvalidInput(f"bundle archive {source} holds two entries of one name")
    if MANIFEST not in names:
        raise InvalidInput(f"{source} is not a bundle archive: it has no {MANIFEST}")
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or info.filename != info.orig_filename:
            raise InvalidInput(f"bundle archive {source} names a path outside itself: {info.orig_filename!r}")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InvalidInput(f"bundle archive {source} holds a link: {info.filename!r}")


def _check_package(manifest: Manifest, names: set[str], source: str) -> None:
    strays = sorted(name for name in names if name != MANIFEST and not name.startswith(f"{manifest.name}/"))
    if strays:
        raise InvalidInput(f"bundle archive {source} holds {strays[0]!r}, outside its package {manifest.name}/")
    if f"{manifest.name}/__init__.py" not in names:
        raise InvalidInput(f"bundle archive {source} has no package {manifest.name}/ (is __init__.py missing?)")
    module = f"{manifest.name}/{manifest.entry.replace('.', '/')}"
    if manifest.entry and not {f"{module}.py", f"{module}/__init__.py"} & names:
        raise InvalidInput(
            f"bundle archive {source} has no module {manifest.entry!r}, which its manifest names as entry"
        )


def _check_jar(manifest: Manifest, file: io.BytesIO, names: set[str], source: str) -> None:
    """An OSGi bundle's archive holds one jar, which says of itself that it is that bundle in that version."""
    jar = f"{manifest.name}/{manifest.name}.jar"
    if names != {MANIFEST, jar}:
        held = ", ".join(sorted(names - {MANIFEST})) or "nothing else"
        raise InvalidInput(f"bundle archive {source} is of kind osgi: it holds {MANIFEST} and {jar}, not {held}")
    try:
        with zipfile.ZipFile(file) as archive, zipfile.ZipFile(io.BytesIO(archive.read(jar))) as inside:
            headers = _headers(inside.read("META-INF/MANIFEST.MF").decode())
    except (KeyError, *_UNREADABLE) as error:
        raise InvalidInput(f"bundle archive {source}: {jar} is no OSGi bundle: {error}") from error
    found = headers.get("Bundle-SymbolicName", "").partition(";")[0].strip(), headers.get("Bundle-Version", "")
    if found[0] != manifest.name or not _same_version(found[1], manifest.version):
        raise InvalidInput(
            f"bundle archive {source}: {jar} says it is {found[0] or 'nameless'} {found[1]}"
            f" (Bundle-SymbolicName, Bundle-Version), its {MANIFEST} says {manifest.name} {manifest.version}"
        )


def _headers(text: str) -> dict[str, str]:
    """The main headers of a jar's manifest; lines that begin with a space go on with the one before."""
    lines = text.replace("\r\n", "\n").replace("\n ", "").partition("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _same_version(header: str, version: str) -> bool:
    return bool(re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,3}", header)) and version_order(header) == version_order(version)
