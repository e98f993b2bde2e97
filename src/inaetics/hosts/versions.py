"""The versions of everything a cluster is made of, asked from each program itself."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import version

from inaetics.hosts.programs import PROGRAMS, find

ASK_S = 5.0


FLAGS: dict[str, tuple[str, ...]] = {"etcdctl": ("version",), "busybox": ()}
"""How a program is asked for its version, where it is not `--version`."""


def versions() -> dict[str, str | None]:
    """Name → version; None for a program that is not installed."""
    found: dict[str, str | None] = {"inaetics": version("inaetics-cluster"), "python": platform.python_version()}
    return found | {program.name: program_version(program.name) for program in PROGRAMS}


def program_version(name: str) -> str | None:
    """The version `name` tells of itself, "unknown" when it tells none, None when it is not installed."""
    path = find(name)
    if path is None:
        return None
    try:
        said = subprocess.run(
            [path, *FLAGS.get(name, ("--version",))], capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = re.search(r"\d+\.\d+(\.\d+)?[\w.+~-]*", said.stdout + said.stderr)
    return match[0] if match else "unknown"
