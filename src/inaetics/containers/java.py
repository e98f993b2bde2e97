"""What the Java agent's image is made from: a small Java runtime, Felix's jars, and our agent compiled against them.

All from the distribution's packages. The JDK (some 340 MB unpacked) is fetched once; what is kept of it is a runtime of
the modules that the agent needs, and a compiler, each put together by the JDK's own `jlink`. A change of the agent's
sources is a new small layer; a JDK need not be installed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inaetics.containers import tarball
from inaetics.containers.base import bootstrap
from inaetics.containers.cache import check_space, scratch, used
from inaetics.containers.debian import distribution
from inaetics.containers.javac import JDK_PACKAGE, compile_jar
from inaetics.containers.process import run
from inaetics.errors import CommandFailed

PACKAGES = (JDK_PACKAGE, "libfelix-framework-java", "libfelix-gogo-shell-java", "libfelix-gogo-command-java")
JARS = (
    "org.apache.felix.framework.jar",
    "org.apache.felix.bundlerepository.jar",
    "org.apache.felix.gogo.runtime.jar",
    "org.apache.felix.gogo.command.jar",
    "org.apache.felix.gogo.shell.jar",
)
MODULES = (
    "java.logging", "java.management", "java.net.http", "java.xml", "jdk.crypto.ec", "jdk.httpserver",
    "jdk.jdwp.agent", "jdk.net", "jdk.unsupported",
)  # fmt: skip
"""Beside java.base, for TLS, HTTP both ways, keep-alive of TCP, figures of the process, a debugger."""
COMPILER = ("jdk.compiler", "jdk.zipfs", *MODULES)
_LINKING = ("--strip-java-debug-attributes", "--no-header-files", "--no-man-pages", "--compress=0")
"""Not compressed: layers are, and what is not starts sooner."""

_ROOM = 900_000_000
_LINK_S = 600.0
_UNPACK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A tar with the folders `runtime`, `felix` and `compiler`; `key` is the digest of its content."""

    archive: Path
    key: str


def java(*, cache: Path, refresh: bool = False) -> Java:
    """From the cache when it is there and no `refresh` is asked for, else from today's packages.

    Raises `NotFound` (no mmdebstrap, no Debian) and `CommandFailed` with the programs' own words.
    """
    source = distribution()
    recipe = (source, PACKAGES, JARS, MODULES, COMPILER, _LINKING)
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    existing = sorted(cache.glob(f"java-{key}-*.tar"))
    if refresh or not existing:
        check_space(cache, _ROOM, doing="make the Java runtime from packages")
        with scratch(cache, "java") as workplace:
            root, tree = workplace / "root", workplace / "tree"
            bootstrap(source, workplace, root, PACKAGES, doing="get the JDK and Felix from packages")
            _gather(root, tree)
            packed = workplace / "java.tar"
            digest = tarball.write_tar(packed, tree)
            for old in existing:
                old.unlink()
            existing = [packed.replace(cache / f"java-{key}-{digest[:16]}.tar")]
    archive = used(existing[0], "java-*.tar")
    return Java(archive=archive, key=archive.stem.rpartition("-")[2])


def write_layers(kit: Java, sources: Path, workplace: Path) -> tuple[Path, Path]:
    """The layers with the runtime and with our agent, from `sources` (the folder java); `workplace` is new.

    Raises `CommandFailed` with the compiler's words.
    """
    unpacked = workplace / "kit"
    unpacked.mkdir(parents=True)
    run(["tar", "-xf", kit.archive, "-C", unpacked], doing=f"unpack {kit.archive}", timeout_s=_UNPACK_S)
    below, above = workplace / "below", workplace / "above"
    _place(unpacked / "runtime", below / "opt/java")
    _place(unpacked / "felix", below / "opt/inaetics/felix")
    ours = above / "opt/inaetics/java"
    felix = below / "opt/inaetics/felix" / JARS[0]
    javac = unpacked / "compiler/bin/javac"
    compile_jar(sources / "agent", ours / "agent.jar", javac=javac, classpath=[felix])
    shutil.copyfile(sources / "run-agent", ours / "run-agent")
    (ours / "run-agent").chmod(0o755)
    layers = workplace / "runtime.tar", workplace / "agent.tar"
    for layer, tree in zip(layers, (below, above), strict=True):
        tarball.write_tar(layer, tree)
    return layers


def agent_files(sources: Path) -> list[Path]:
    """What our layer is made from, sorted."""
    return sorted([sources / "run-agent", *(sources / "agent").rglob("*.java")])


def _gather(root: Path, tree: Path) -> None:
    """From the unpacked packages to the three folders."""
    felix = tree / "felix"
    felix.mkdir(parents=True)
    for name in JARS:
        shutil.copyfile(root / "usr/share/java" / name, felix / name)
    home = next((path.parent.parent for path in sorted(root.glob("usr/lib/jvm/java-*/bin/jlink"))), None)
    if home is None:
        raise CommandFailed(f"the package {JDK_PACKAGE} brings no jlink", status=1, output="")
    _make_whole(root, home)
    _link(home, MODULES, tree / "runtime")
    _link(home, COMPILER, tree / "compiler")


def _make_whole(root: Path, home: Path) -> None:
    """The JDK's configuration is links into /etc, which is another machine's."""
    for link in [path for folder in ("conf", "lib") for path in (home / folder).rglob("*") if path.is_symlink()]:
        target = link.readlink()
        inside = root / str(target).lstrip("/")
        if target.is_absolute() and inside.exists():
            link.unlink()
            link.symlink_to(inside)


def _link(home: Path, modules: Iterable[str], target: Path) -> None:
    command: list[str | Path] = [
        home / "bin/jlink", "-J-XX:TieredStopAtLevel=1", "--add-modules", ",".join(modules),
        *_LINKING, "--output", target,
    ]  # fmt: skip
    run(command, doing="put a Java runtime together", timeout_s=_LINK_S)


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
