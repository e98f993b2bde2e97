"""Java sources → one jar, by a JDK's compiler. The same sources and the same compiler give the same jar, byte for byte.

Jars are written here rather than by the JDK's `jar`: stored, sorted, of one date.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from inaetics.containers.process import run
from inaetics.errors import InvalidInput

RELEASE = "17"
"""The oldest Java that runs what is compiled. Not as `--release`, which a compiler made by jlink does not know."""
JDK_PACKAGE = "default-jdk-headless"
_COMPILE_S = 300.0
_EPOCH = (1980, 1, 1, 0, 0, 0)


def compile_jar(
    sources: Path,
    jar: Path,
    *,
    javac: str | Path,
    classpath: Sequence[Path] = (),
    headers: Mapping[str, str] | None = None,
) -> None:
    """Compile every ``.java`` below `sources` into `jar`, beside every other file there, with these manifest headers.

    Raises `InvalidInput` when there is nothing to compile, `CommandFailed` with the compiler's own words.
    """
    found = sorted(sources.rglob("*.java"))
    if not found:
        raise InvalidInput(f"there are no Java sources in {sources}")
    with tempfile.TemporaryDirectory(prefix="inaetics-javac-") as place:
        classes = Path(place)
        path = ":".join(str(each) for each in classpath) or str(classes)
        command: list[str | Path] = [
            javac, "--source", RELEASE, "--target", RELEASE, "-encoding", "UTF-8",
            "-Xlint:all,-options", "-g:source,lines",
            "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-cp", path, "-d", classes, *found,
        ]  # fmt: skip
        run(command, doing=f"compile the Java sources in {sources}", timeout_s=_COMPILE_S)
        for each in sources.rglob("*"):
            if each.is_file() and each.suffix != ".java" and not each.name.startswith("."):
                copy = classes / each.relative_to(sources)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each, copy)
        jar.parent.mkdir(parents=True, exist_ok=True)
        jar.write_bytes(_jar(classes, {"Manifest-Version": "1.0", **(headers or {})}))


def _jar(tree: Path, headers: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as jar:
        lines = "".join(_folded(f"{name}: {value}") for name, value in headers.items())
        jar.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF", _EPOCH), f"{lines}\r\n")
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                jar.writestr(zipfile.ZipInfo(path.relative_to(tree).as_posix(), _EPOCH), path.read_bytes())
    return buffer.getvalue()


def _folded(line: str) -> str:
    """A header in lines of at most 72 bytes, as jars have them (headers are ASCII here)."""
    parts = [line[:70], *(f" {line[at : at + 69]}" for at in range(70, len(line), 69))]
    return "".join(f"{part}\r\n" for part in parts)
