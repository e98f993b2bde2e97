"""Which programs the hosts need from the operating system, and what to install where one is missing."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from inaetics.errors import NotFound
from inaetics.hosts.environment import SYSTEM_PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, the Debian package that brings it, what it is for, and whether a cluster stands without it."""

    name: str
    package: str
    purpose: str
    required: bool = True


PROGRAMS = (
    Program(name="etcd", package="etcd-server", purpose="the cluster's store"),
    Program(name="docker-registry", package="docker-registry", purpose="the image registry"),
    Program(name="etcdctl", package="etcd-client", purpose="looking into the store by hand", required=False),
    Program(name="podman", package="podman", purpose="running containers and building images", required=False),
    Program(name="busybox", package="busybox-static", purpose="trying the container engine", required=False),
    Program(name="mmdebstrap", package="mmdebstrap", purpose="making the base image", required=False),
)


def find(name: str) -> str | None:
    """The program's path, looked for where units will find it too."""
    path = os.environ.get("PATH", "")
    return shutil.which(name, path=f"{path}:{SYSTEM_PATH}")


def missing(*, required_only: bool) -> list[Program]:
    """The programs that are not found here."""
    return [each for each in PROGRAMS if (each.required or not required_only) and find(each.name) is None]


def require() -> None:
    """Raise `NotFound` that says what to install when the cluster cannot stand."""
    if lacking := missing(required_only=True):
        named = ", ".join(f"{each.name} ({each.purpose})" for each in lacking)
        raise NotFound(f"cannot start a cluster: {named} not found (install: {install_command(lacking)})")


def install_command(lacking: list[Program]) -> str:
    """What a person types to have them."""
    sudo = "" if os.getuid() == 0 else "sudo "
    return f"{sudo}apt-get install {' '.join(each.package for each in lacking)}"
