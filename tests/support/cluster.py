"""A whole cluster for a test, driven the way a person drives it: by the installed commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inaetics.errors import InaeticsError
from inaetics.hosts.paths import ClusterPaths, cluster_paths
from inaetics.hosts.status import status
from inaetics.supervisor import procfs

_BIN = Path(sys.executable).parent


@dataclass(slots=True, kw_only=True)
class Cluster:
    """One cluster with a name, a home and a subnet of its own. Commands raise AssertionError with what they printed."""

    name: str
    home: Path
    subnet: str
    demo: str = ""
    """What `inaetics demo` printed."""
    scaling: dict[str, Any] = field(default_factory=dict)
    """What `inaetics scale` told after it."""

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "INAETICS_HOME": str(self.home), "INAETICS_CLUSTER": self.name}

    def attempt(self, command: str, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the installed commands and return what came of it."""
        return subprocess.run(
            [_BIN / command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def run(self, command: str, *arguments: str, timeout_s: float = 300) -> str:
        """Run one of the installed commands, which must succeed; returns its standard output."""
        done = self.attempt(command, *arguments, timeout_s=timeout_s)
        words = f"{command} {' '.join(arguments)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, words
        assert "Traceback" not in done.stderr, words
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `inaetics status --output json` prints, asked in this process: who waits asks again and again."""
        paths = ClusterPaths(name=self.name, state=self.home / self.name, run=cluster_paths(self.name).run)
        with ThreadPoolExecutor(1) as elsewhere:  # a loop may run here already: a browser's
            try:
                return elsewhere.submit(status, paths).result()
            except InaeticsError as error:
                raise AssertionError(str(error)) from error

    def units(self) -> dict[str, dict[str, Any]]:
        """The units of `status` by name."""
        return {unit["name"]: unit for unit in self.status()["units"]}

    def where(self) -> dict[str, str | None]:
        """Unit → host of everything that is active."""
        return {name: unit["machine"] for name, unit in self.units().items() if unit["active"] == "active"}

    def page(self, path: str) -> dict[str, Any]:
        """JSON of the demonstrator's page. Raises OSError while there is none."""
        web = self.status()["web"]
        if web is None:
            raise ConnectionError("status names no page")
        with urllib.request.urlopen(web + path, timeout=5) as answer:
            content = json.load(answer)
        assert isinstance(content, dict)
        return content


def processes_of(home: Path) -> list[str]:
    """Command lines of all processes that belong to clusters under `home`, containers' monitors included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            environment = b"\0".join(procfs.environment(int(entry.name)))  # first: it waits for who has no program yet
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(home) in command or f"INAETICS_SUPERVISED={home}".encode() in environment:
                found.append(f"{entry.name} {command[:160]}")
    return found


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{path}/")]
