"""Finding the control group hierarchies of this machine that a supervisor may use, by trying."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from inaetics.supervisor import linux

_log = structlog.get_logger()

_WANTED = frozenset({"memory", "cpu", "pids"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One hierarchy: our directory in it, whether it is v2, what it can limit, and whether units are tracked in it."""

    path: str
    unified: bool
    controllers: frozenset[str]
    tracks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted hierarchy: where, v2 or not, its controllers (v1), and our own group's directory in it."""

    unified: bool
    controllers: frozenset[str]
    own: str


def usable_hierarchies(name: str) -> tuple[Hierarchy, ...]:
    """Make the directory `name` below our own group of every hierarchy that is of use; one of them tracks units.

    For tracking, v2 is best (it kills a whole group at once), then the freezer of v1 (it holds a group still), then
    the named hierarchy of systemd.
    """
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts, open("/proc/self/cgroup", encoding="utf-8") as own:
        mounted = mounts_of(mounts.read(), own.read())
    found: list[Hierarchy] = []
    tracked = False
    for mount in sorted(mounted, key=_order):
        useful = not tracked or mount.unified or mount.controllers & _WANTED
        path = f"{mount.own}/{name}"
        if useful and _make(path):
            controllers = _delegated(mount, path) if mount.unified else mount.controllers & _WANTED
            found.append(Hierarchy(path=path, unified=mount.unified, controllers=controllers, tracks=not tracked))
            tracked = True
    return tuple(found)


def way_home(path: str) -> str | None:
    """Return the file that takes us back to the group we are in, of the hierarchy that `path` is in; None: no way."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts, open("/proc/self/cgroup", encoding="utf-8") as own:
        mounted = mounts_of(mounts.read(), own.read())
    for mount in mounted:
        with suppress(OSError):  # another mount of it may do
            if os.stat(mount.own).st_dev == os.stat(path).st_dev:
                linux.write(f"{mount.own}/cgroup.procs", "0")
                return f"{mount.own}/cgroup.procs"
    return None


def mounts_of(mountinfo: str, own_groups: str) -> list[Mount]:
    """Read /proc/self/mountinfo and /proc/self/cgroup. Pure."""
    own = dict(_own_paths(own_groups))
    found: list[Mount] = []
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        _, _, _, root, place, *_ = fields.split(" ")
        controllers = frozenset[str]() if kind == "cgroup2" else frozenset(options.split(",")) & frozenset(own)
        path = own.get("" if kind == "cgroup2" else next(iter(controllers), "?"))
        if path is None or not _is_below(path, root):
            continue  # another mount of it may show our group
        relative = path.removeprefix(root.rstrip("/")).rstrip("/")
        found.append(Mount(unified=kind == "cgroup2", controllers=controllers, own=place.rstrip("/") + relative))
    return found


def _own_paths(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _is_below(path: str, root: str) -> bool:
    return "/.." not in path and (path == root or path.startswith(root.rstrip("/") + "/"))


def _order(mount: Mount) -> int:
    """Those that can track units first, the best one before the others."""
    if mount.unified:
        return 0
    return 1 if "freezer" in mount.controllers else 2 if "name=systemd" in mount.controllers else 3


def _make(path: str) -> bool:
    """Make our directory; return whether processes can be put there."""
    try:
        with suppress(FileExistsError):
            os.mkdir(path)
    except OSError as error:
        _log.debug("cannot use a hierarchy of control groups", path=path, error=str(error))
        return False
    if os.access(f"{path}/cgroup.procs", os.W_OK):
        return True
    with suppress(OSError):  # somebody else has put something into it
        os.rmdir(path)
    return False


def _delegated(mount: Mount, path: str) -> frozenset[str]:
    """Have the controllers of v2 handed down to `path` and what is below it; return those that are."""
    available = _words(f"{mount.own}/cgroup.controllers") & _WANTED
    return frozenset(each for each in sorted(available) if _hand_down(mount.own, each) and _hand_down(path, each))


def _hand_down(directory: str, controller: str) -> bool:
    file = f"{directory}/cgroup.subtree_control"
    if controller in _words(file):
        return True
    try:
        linux.write(file, f"+{controller}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return _move_aside(directory) and _hand_down(directory, controller)
        _log.debug("cannot use a controller", directory=directory, controller=controller, error=str(error))
        return False
    return True


def _move_aside(directory: str) -> bool:
    """Leave a group that may hold no processes when it hands controllers down; only if we are alone in it."""
    with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
        if file.read().split() != [str(os.getpid())]:
            return False  # somebody else is in there, whom we do not move
    aside = f"{directory}/supervisor"
    try:
        with suppress(FileExistsError):
            os.mkdir(aside)
        linux.write(f"{aside}/cgroup.procs", "0")
    except OSError as error:
        _log.debug("cannot leave a group", directory=directory, error=str(error))
        return False
    return True


def _words(path: str) -> frozenset[str]:
    try:
        with open(path, encoding="ascii") as file:
            return frozenset(file.read().split())
    except OSError:  # not there, or not ours to read: nothing is to be had there
        return frozenset()
