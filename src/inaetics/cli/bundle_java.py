"""Bundles for Java agents: from a folder with Java sources to a folder that can be packed."""

from __future__ import annotations

import shutil
from pathlib import Path

from inaetics.bundles.manifest import MANIFEST, OSGI, Manifest, read_manifest
from inaetics.containers.javac import JDK_PACKAGE, compile_jar
from inaetics.containers.process import find_program
from inaetics.errors import InvalidInput, NotFound

SOURCES = "src"
IMPORTS = "IMPORTS"
IMPORTED = "org.osgi.framework,org.osgi.util.tracker"
"""What a bundle imports unless its folder has a file `IMPORTS` with other packages."""
OSGI_JARS = ("/usr/share/java/org.apache.felix.framework.jar", "/usr/share/java/osgi.core.jar")


def prepared(folder: Path, place: Path) -> Path:
    """The folder itself; for one with Java sources a new one below `place` with the jar that they compile to.

    Raises `NotFound` without a JDK, `InvalidInput` for a folder that is wrong, `CommandFailed` with javac's words.
    """
    if not (folder / SOURCES).is_dir():
        return folder
    manifest = read_manifest((folder / MANIFEST).read_bytes(), source=str(folder / MANIFEST))
    if manifest.kind != OSGI:
        return folder
    if not manifest.entry:
        raise InvalidInput(f'{folder / MANIFEST}: "entry" must name the activator\'s class, such as clock.Activator')
    headers = _headers(manifest, folder)
    made = place / "java" / folder.resolve().name
    made.mkdir(parents=True)
    shutil.copyfile(folder / MANIFEST, made / MANIFEST)
    javac = find_program("javac", package=JDK_PACKAGE)
    jar = made / f"{manifest.name}.jar"
    compile_jar(folder / SOURCES, jar, javac=javac, classpath=[_osgi()], headers=headers)
    return made


def _headers(manifest: Manifest, folder: Path) -> dict[str, str]:
    return {
        "Bundle-ManifestVersion": "2",
        "Bundle-SymbolicName": manifest.name,
        "Bundle-Version": manifest.version,
        "Bundle-Activator": manifest.entry,
        "Import-Package": _imported(folder / IMPORTS),
    }


def _imported(file: Path) -> str:
    """The packages that the file names, or the usual ones where there is none."""
    try:
        names = file.read_text("utf-8").split()
    except FileNotFoundError:
        return IMPORTED
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"cannot read {file}: byte {error.start + 1} is not UTF-8 (it takes names of Java packages, one a line,"
            " such as org.osgi.framework)"
        ) from error
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror or error}") from error
    return ",".join(names)


def _osgi() -> Path:
    for name in OSGI_JARS:
        if Path(name).exists():
            return Path(name)
    raise NotFound(f"cannot compile OSGi bundles: {OSGI_JARS[0]} is missing (apt-get install libfelix-framework-java)")
