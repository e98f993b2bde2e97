"""The base image, made from the machine's own distribution's packages: no registry on the internet is asked.

mmdebstrap unpacks a handful of packages without running anything of theirs (its extract variant), so that it works
without root and without a user namespace; we trim the result and add the few files that installing would have made.
The tar is cached under the digest of its recipe; packages that were renewed meanwhile are taken by `refresh`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inaetics.containers import tarball, trim
from inaetics.containers.cache import cache_directory, check_space, scratch, used
from inaetics.containers.debian import Distribution, apt_network_options, apt_sources, distribution
from inaetics.containers.process import find_program, run
from inaetics.errors import InvalidInput

PACKAGES = ("python3-minimal", "libpython3-stdlib", "busybox-static", "ca-certificates", "libstdc++6")
"""Python, a shell for whoever looks inside, certificates of public authorities, and what binary wheels link to."""

OLDEST_PYTHON = (3, 11)

_ROOM = 400_000_000
"""What the disk must have left: packages, their content, the archive."""

_BOOTSTRAP_S = 600.0
_COMPILE_S = 300.0
_UNPACK_S = 60.0

_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/os-release": 'NAME="INAETICS base, from {name} {codename}"\nID={name}\nVERSION_CODENAME={codename}\n',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image as a tar file. `key` is the digest of its content; `python` is its version, such as "3.11"."""

    archive: Path
    key: str
    python: str
    architecture: str


def base(*, cache: Path | None = None, refresh: bool = False) -> Base:
    """The base image of this machine's distribution, from the cache when it is there and no `refresh` is asked for.

    Raises `NotFound` (no mmdebstrap, no Debian), `CommandFailed` (packages cannot be had: the program's own words),
    `InvalidInput` when the distribution's Python is too old.
    """
    source = distribution()
    place = cache or cache_directory()
    key = hashlib.sha256(repr((source, recipe_code())).encode()).hexdigest()[:16]
    name = f"base-{key}-*-python3.*.tar"
    existing = sorted(place.glob(name))
    if refresh or not existing:
        made = _make(source, place, key)
        for old in existing:
            if old != made:
                old.unlink()
        existing = [made]
    _, _, digest, python = existing[0].name.removesuffix(".tar").split("-")
    return Base(
        archive=used(existing[0], "base-*.tar"), key=digest, python=python[6:], architecture=source.architecture
    )


def recipe_code() -> list[bytes]:
    """The text of the modules that make the base image: when they change, an archive made before is another's."""
    return [Path(module).read_bytes() for module in (__file__, trim.__file__, tarball.__file__)]


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The content of a tar as a temporary directory."""
    with scratch(archive.parent, "unpacked") as place:
        run(["tar", "-xf", archive, "-C", place], doing=f"unpack {archive}", timeout_s=_UNPACK_S)
        yield place


def compile_modules(root: Path, tree: Path, *, inside: str) -> None:
    """Compile the Python modules below `tree` with the Python of the base unpacked at `root`.

    `inside` is the tree's path in the image. The compiled files are valid whatever the time stamps are: in an image
    sources do not change. With them an agent's imports take 0.33 s, without 0.82 s. Nothing may be compiled on the
    way (`-B`): what the compiling Python itself imports would be kept, with this directory's name in it.
    """
    python = _python_of(root)
    command: list[str | Path] = [
        trim.loader(root), "--library-path", trim.library_path(root), python, "-I", "-B", "-m", "compileall",
        "-f", "-q", "--invalidation-mode", "unchecked-hash", "-s", tree, "-p", inside, tree,
    ]  # fmt: skip
    environment = {"PYTHONHOME": str(root / "usr")}
    run(command, doing=f"compile the Python modules below {tree}", timeout_s=_COMPILE_S, env=environment)


def _make(source: Distribution, place: Path, key: str) -> Path:
    check_space(place, _ROOM, doing="make the base image from packages")
    with scratch(place, "base") as workplace:
        root = workplace / "root"
        bootstrap(source, workplace, root, PACKAGES, doing="make the base image from packages")
        python = _python_of(root)
        version = python.name.removeprefix("python")
        if tuple(int(part) for part in version.split(".")) < OLDEST_PYTHON:
            raise InvalidInput(
                f"the Python of {source.name} {source.codename} is {version}; agents need 3.11: build the images on "
                "Debian 12 or newer"
            )
        trim.trim(root, python)
        _add_files(source, root)
        compile_modules(root, root / "usr/lib" / python.name, inside=f"/usr/lib/{python.name}")
        packed = workplace / "base.tar"
        digest = tarball.write_tar(packed, root)
        archive = packed.replace(place / f"base-{key}-{digest[:16]}-python{version}.tar")
    return archive


def bootstrap(source: Distribution, workplace: Path, root: Path, packages: Sequence[str], *, doing: str) -> None:
    """Unpack packages and what they need into `root`, which is made, without running anything of theirs."""
    mmdebstrap = find_program("mmdebstrap", package="mmdebstrap")
    files = []
    for name, text in apt_sources(source.codename).items():
        (workplace / name).write_text(text)
        files.append(workplace / name)
    options = [f"--aptopt={option}" for option in ('APT::Install-Recommends "false";', *apt_network_options())]
    mode = "root" if os.getuid() == 0 else "chrootless"
    command: list[str | Path] = [
        mmdebstrap, "--quiet", f"--mode={mode}", "--variant=extract", "--format=directory",
        f"--architectures={source.architecture}", f"--include={','.join(packages)}", *options, "", root, *files,
    ]  # fmt: skip
    run(command, doing=doing, timeout_s=_BOOTSTRAP_S, env={"TMPDIR": str(workplace)})


def _python_of(root: Path) -> Path:
    return root / "usr/bin" / (root / "usr/bin/python3").readlink().name


def _add_files(source: Distribution, root: Path) -> None:
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(name=source.name, codename=source.codename))
    for name in ("dev", "proc", "root", "run", "sys", "var/lib/inaetics", "var/tmp", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    _add_certificates(root)
    for applet in run([root / "bin/busybox", "--list"], doing="list busybox's commands", timeout_s=10.0).split():
        link = root / "bin" / applet
        if not link.exists() and not link.is_symlink():
            link.symlink_to("busybox")


def _add_certificates(root: Path) -> None:
    """One file of all public authorities, where OpenSSL looks for it; the package's single files are not needed."""
    single = root / "usr/share/ca-certificates"
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(path.read_text() for path in sorted(single.rglob("*.crt"))))
    shutil.rmtree(single)
    openssl = root / "usr/lib/ssl"
    openssl.mkdir(parents=True, exist_ok=True)
    (openssl / "cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (openssl / "certs").symlink_to("/etc/ssl/certs")
