"""What works on this machine: the container engine is tried, not assumed.

Machines differ in what they allow (cgroup layouts, limits, storage drivers, user namespaces), and an engine's error
says little about the flag that would help. So `probe` imports, runs and builds a tiny image, first with the engine's
own defaults, then with each work-around, and keeps what worked. The outcome is cached for the machine, user, engine
and limits it was found under.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import platform
import resource
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from inaetics.containers.cache import cache_directory
from inaetics.containers.docker import probe_docker
from inaetics.containers.findings import Findings
from inaetics.containers.process import find_program, program_path, run
from inaetics.containers.store import Store, prepare, remove
from inaetics.errors import CommandFailed, NotFound
from inaetics.files import replace_file
from inaetics.units.container_engine import ContainerEngine

_IMAGE = "localhost/inaetics-probe:latest"
_STEP_S = 30.0
_ENOUGH_FILES = 65536
_SHOWN_WORDS = 8


def probe(near: Path, *, cache: Path | None = None) -> Findings:
    """Find out how containers run and build here; quick when it is known from before.

    `near` is a directory on the file system that will hold the stores: storage drivers depend on it. `cache` is a
    directory (default: the user's). Raises `NotFound` when no engine is installed, `CommandFailed` with the engine's
    own words when nothing works.
    """
    podman, docker = program_path("podman"), program_path("docker")
    near.mkdir(parents=True, exist_ok=True)
    known = (cache or cache_directory()) / f"engine-{_key(podman, docker, near)}.json"
    if known.exists():
        return msgspec.json.decode(known.read_bytes(), type=Findings)
    findings = _find(podman, docker, near)
    replace_file(known, msgspec.json.format(msgspec.json.encode(findings)))
    return findings


def _find(podman: str | None, docker: str | None, near: Path) -> Findings:
    """podman where it works; else docker; else podman's own words."""
    try:
        return _try_everything(podman or find_program("podman", package="podman"), near)
    except (NotFound, CommandFailed) as error:
        if docker is None:
            raise
        try:
            return probe_docker(docker, _tiny_image())
        except CommandFailed as refused:
            words = f"{error}\nAnd docker, which is here too: {refused}"
            raise CommandFailed(words, status=refused.status, output=words) from error


def candidates(first: Findings) -> Iterator[Findings]:
    """`first` with each combination of work-arounds, the engine's own choices before ours."""
    runtimes = ["", *(name for name in ("runc", "crun") if program_path(name))]
    for manager, runtime, limits in itertools.product(("", "cgroupfs"), runtimes, _limits()):
        yield replace(first, cgroup_manager=manager, runtime=runtime, ulimits=limits)


def _key(podman: str | None, docker: str | None, near: Path) -> str:
    """A name for everything that the outcome depends on; programs by their date, which no upgrade leaves as it was."""
    names = [podman, docker, *(program_path(name) for name in ("runc", "crun", "fuse-overlayfs", "newuidmap"))]
    parts = [
        [(name, Path(name).stat().st_mtime_ns) for name in names if name],
        platform.release(),
        os.getuid(),
        near.stat().st_dev,
        resource.getrlimit(resource.RLIMIT_NOFILE),
        resource.getrlimit(resource.RLIMIT_NPROC),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _limits() -> list[tuple[str, ...]]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _ENOUGH_FILES if files == resource.RLIM_INFINITY else min(files, _ENOUGH_FILES)
    # The kernel counts a user's processes over the whole machine: a high limit comes before the one that works
    # nearly everywhere.
    return [(), (f"nofile={files}:{files}", "nproc=32768:32768"), ("nofile=1024:1024", "nproc=1024:1024")]


def _try_everything(program: str, near: Path) -> Findings:
    version = run([program, "--version"], doing="ask podman for its version", timeout_s=_STEP_S).split()[-1]
    first = Findings(program=program, version=version)
    refusals: list[CommandFailed] = []
    for driver in ("overlay", "vfs"):
        with _scratch(near) as store:
            try:
                return _try_driver(replace(first, storage_driver=driver), store, refusals)
            except CommandFailed as error:
                refusals.append(error)
    raise _nothing_works(first, refusals)


def _try_driver(first: Findings, store: Store, refusals: list[CommandFailed]) -> Findings:
    """The first candidate that runs and builds with this storage driver; the last one's error when none does."""
    image = _tiny_image()
    engine = prepare(store, first)
    run([*engine.command, "import", "-q", "-", _IMAGE], doing="import an image", timeout_s=_STEP_S, stdin=image)
    for candidate in candidates(first):
        try:
            return _try(candidate, store)
        except CommandFailed as error:
            refusals.append(error)
    raise refusals.pop()


def _try(candidate: Findings, store: Store) -> Findings:
    _run_once(candidate, store)
    isolated = candidate
    try:
        _build_once(candidate, store)
    except CommandFailed:
        isolated = replace(candidate, isolation="chroot")
        _build_once(isolated, store)
    with_parent = replace(isolated, cgroup_parents=True)
    try:
        _run_once(with_parent, store)
    except CommandFailed:
        return isolated
    return with_parent


def _run_once(candidate: Findings, store: Store) -> None:
    engine = prepare(store, candidate)
    command = [*engine.command, "run", "--rm", "--network", "host", *engine.run_flags, _IMAGE, "/bin/busybox", "true"]
    run(command, doing="run a container", timeout_s=_STEP_S)


def _build_once(candidate: Findings, store: Store) -> None:
    engine = prepare(store, candidate)
    recipe = f'FROM {_IMAGE}\nRUN ["/bin/busybox", "true"]\n'.encode()
    run([*engine.command, "build", "-q", "-f", "-"], doing="build an image", timeout_s=_STEP_S, stdin=recipe)


@contextmanager
def _scratch(near: Path) -> Iterator[Store]:
    """A store of its own on the file system of `near`, and nothing left of it afterwards."""
    place = Path(tempfile.mkdtemp(prefix=".probe-", dir=near))
    # The run directory is elsewhere: its path must be short.
    runroot = Path(tempfile.mkdtemp(prefix="inaetics-probe-"))
    store = Store(
        root=place / "root", runroot=runroot, settings=place / "settings", cgroup=f"/inaetics/probe-{os.getpid()}"
    )
    try:
        yield store
    finally:
        remove(store, _any_engine(store))
        shutil.rmtree(place)


def _any_engine(store: Store) -> ContainerEngine:
    return prepare(store, Findings(program=find_program("podman", package="podman"), version=""))


def _tiny_image() -> bytes:
    """A tar with nothing but a static busybox."""
    busybox = Path(find_program("busybox", package="busybox-static"))
    content = busybox.read_bytes()
    if b"/ld-linux" in content[:4096]:
        raise NotFound(f"{busybox} needs libraries; the static one is wanted (Debian package busybox-static)")
    entry = tarfile.TarInfo("bin/busybox")
    entry.mode, entry.size = 0o755, len(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _nothing_works(first: Findings, refusals: list[CommandFailed]) -> CommandFailed:
    said = list(dict.fromkeys(line for refusal in refusals for line in refusal.output.splitlines() if line.strip()))
    words = "\n  ".join(said[-_SHOWN_WORDS:])
    return CommandFailed(
        f"podman {first.version} ({first.program}) can neither run nor build here, with any work-around known "
        f"(runtime runc, cgroupfs, low limits, vfs, chroot). Its own words:\n  {words}\n"
        "What often helps: install runc (apt install runc); without root also uidmap, slirp4netns and fuse-overlayfs; "
        "inside a container, more rights for it. `inaetics doctor` checks again.",
        status=refusals[-1].status,
        output="\n".join(said),
    )
