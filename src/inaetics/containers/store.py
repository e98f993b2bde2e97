"""A container store: images and containers of one host, seen by nobody else.

Every host has its own `--root`, `--runroot` and `--tmpdir`, and a `containers.conf` that replaces the machine's: what
people configured for their own podman neither helps nor harms, and theirs is never touched. Locks are files: podman's
default, one shared memory segment for all stores of a user, is cleared by whichever store is used first.

A store outlives a power cut: what was killed leaves records, mounts, cgroups and port forwardings behind.
`recover` clears them as long as the run directory is still there; `remove` leaves nothing at all.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from inaetics.containers.docker import docker_engine, remove_containers
from inaetics.containers.findings import Findings
from inaetics.containers.process import files_for, run
from inaetics.containers.pull import write_pull
from inaetics.containers.shortcut import forget, short
from inaetics.errors import CommandFailed
from inaetics.units.container_engine import ContainerEngine

_CGROUPS = Path("/sys/fs/cgroup")
_CLEAR_S = 60.0
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The places of one store.

    `root` survives reboots, `runroot` need not. `settings` is the directory for the configuration files made by
    `prepare`. `cgroup` is the parent of its containers' cgroups ("/inaetics/demo/w1"). `registry` ("127.17.8.2:5000")
    is where short names are looked up and what images are named after; they are pulled from the first of `sources`
    (host:port; none: only `registry`) that has them. `certificates` a directory in podman's form (ca.crt, client.cert,
    client.key). Published ports are bound to `address`.
    """

    root: Path
    runroot: Path
    settings: Path
    cgroup: str = ""
    registry: str = ""
    sources: tuple[str, ...] = ()
    certificates: Path | None = None
    address: str = "127.0.0.1"

    @property
    def tmpdir(self) -> Path:
        """Where podman knows what is alive; without it podman believes the machine has rebooted."""
        return self.runroot / "libpod"


def prepare(store: Store, findings: Findings) -> ContainerEngine:
    """Make the store's directories and configuration; return the engine that works on it. Idempotent.

    To be done anew after a reboot. Raises `CommandFailed` when the file system refuses.
    """
    with files_for(f"prepare the container store {store.root}"):
        return _prepare(store, findings)


def _prepare(store: Store, findings: Findings) -> ContainerEngine:
    for directory in (store.root / "tmp", store.tmpdir, store.settings):
        directory.mkdir(parents=True, exist_ok=True)
    store.runroot.chmod(0o700)
    containers_conf = store.settings / "containers.conf"
    registries_conf = store.settings / "registries.conf"
    containers_conf.write_text(_containers_conf(store, findings))
    registries_conf.write_text(_registries_conf(store))
    if findings.kind == "docker":
        return _with_pull(store, docker_engine(findings.program, store.root, store.address))
    environment = [f"CONTAINERS_CONF={containers_conf}", f"CONTAINERS_REGISTRIES_CONF={registries_conf}"]
    if findings.isolation:
        environment.append(f"BUILDAH_ISOLATION={findings.isolation}")
    places = ["--root", str(store.root), "--runroot", str(short(store.runroot)), "--tmpdir", str(store.tmpdir)]
    driver = ["--storage-driver", findings.storage_driver] if findings.storage_driver else []
    in_cgroup = ["--cgroup-parent", store.cgroup] if store.cgroup and findings.cgroup_parents else []
    engine = ContainerEngine(
        command=("/usr/bin/env", *environment, findings.program, *places, *driver),
        run_flags=tuple(in_cgroup),
        pull_flags=("--cert-dir", str(store.certificates)) if store.certificates else (),
        publish_address=store.address,
    )
    return _with_pull(store, engine)


def _with_pull(store: Store, engine: ContainerEngine) -> ContainerEngine:
    program = write_pull(
        store.settings,
        engine,
        root=store.root,
        registry=store.registry,
        sources=store.sources or ((store.registry,) if store.registry else ()),
        certificates=store.certificates or store.settings,
    )
    return replace(engine, pull_command=(str(program),))


def recover(engine: ContainerEngine) -> None:
    """Clear what a power cut left: records of containers that are dead, their mounts and port forwardings.

    For a host at its boot, before its first unit starts, with the run directory still as it was: containers that
    live are removed too. The first `rm` reports what died unseen and fails, the second removes it.
    """
    if engine.kind == "docker":
        remove_containers(engine)
        return
    clear = [*engine.command, "rm", "-f", "-a", "-t", "0"]
    with suppress(CommandFailed):
        run(clear, doing="notice dead containers", timeout_s=_CLEAR_S)
    run(clear, doing="clear dead containers", timeout_s=_CLEAR_S)


def remove(store: Store, engine: ContainerEngine | None) -> None:
    """Delete the store: its containers, images, mounts, cgroups and directories. Idempotent.

    Without an `engine` (none was ever found) only directories go. What the engine cannot remove in order is
    unmounted and deleted all the same.
    """
    if engine is not None and store.root.exists():
        with suppress(CommandFailed):  # what it left is deleted below all the same
            recover(engine)
        if os.getuid() != 0 and engine.kind == "podman":
            _remove_rootless(store, engine)
    with files_for(f"delete the container store {store.root}"):
        for place in (store.root, store.runroot, store.settings):
            _delete(place)
        forget(store.runroot)
    if store.cgroup:
        _remove_cgroups(store.cgroup)


def _containers_conf(store: Store, findings: Findings) -> str:
    limits = ", ".join(f'"{limit}"' for limit in findings.ulimits)
    lines = [
        "# made by inaetics for this store; it replaces the machine's containers.conf",
        "[containers]",
        f"default_ulimits = [{limits}]",
        "[engine]",
        'lock_type = "file"',
        'events_logger = "none"',
        f'image_copy_tmp_dir = "{store.root / "tmp"}"',
    ]
    if findings.cgroup_manager:
        lines.append(f'cgroup_manager = "{findings.cgroup_manager}"')
    if findings.runtime:
        lines.append(f'runtime = "{findings.runtime}"')
    return "\n".join(lines) + "\n"


def _registries_conf(store: Store) -> str:
    searched = f'"{store.registry}"' if store.registry else ""
    return f'unqualified-search-registries = [{searched}]\nshort-name-mode = "disabled"\n'


def _remove_rootless(store: Store, engine: ContainerEngine) -> None:
    """Without root: files of other ids of the user namespace, and the process that holds the namespace open."""
    with suppress(CommandFailed):
        run([*engine.command, "unshare", "rm", "-rf", store.root], doing=f"delete {store.root}", timeout_s=_CLEAR_S)
    with suppress(OSError, ValueError):  # no such process, or it has ended
        os.kill(int((store.tmpdir / "pause.pid").read_text()), signal.SIGTERM)


def _delete(place: Path) -> None:
    """Unmount and delete. The engine's own cleaning up, started by a container's end, may still be under way."""
    deadline = time.monotonic() + _CLEAR_S
    while place.exists():
        try:
            _unmount_below(place)
            shutil.rmtree(place)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


def _unmount_below(place: Path) -> None:
    inside = [point for point in _mount_points() if point.is_relative_to(place)]
    for point in sorted(inside, key=lambda path: len(path.parts), reverse=True):
        try:
            run(["umount", "--lazy", point], doing=f"unmount {point}", timeout_s=_CLEAR_S)
        except CommandFailed:
            if point in _mount_points():
                raise


def _mount_points() -> list[Path]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [Path(line.split(" ")[4].encode().decode("unicode_escape")) for line in lines]


def _remove_cgroups(parent: str) -> None:
    """Remove the empty cgroups below `parent`, in every hierarchy; those in use stay."""
    for top in (_CGROUPS, *_CGROUPS.glob("*/")):
        start = top / parent.strip("/")
        for directory, _, _ in os.walk(start, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)
        for above in start.relative_to(top).parents:
            if above.parts:
                with suppress(OSError):
                    (top / above).rmdir()
