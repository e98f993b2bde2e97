"""A container image of one program, made in a moment without any registry."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from inaetics.units.container import ContainerEngine


def podman(engine: ContainerEngine, *arguments: str, stdin: bytes = b"", status: int = 0) -> str:
    """Run the engine's command on its store, expect this exit status, and return its standard output."""
    done = subprocess.run([*engine.command, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    said, complained = (output.decode(errors="replace").strip() for output in (done.stdout, done.stderr))
    assert done.returncode == status, f"{arguments} ended with {done.returncode}: {said} {complained}"
    return said


def import_tiny(engine: ContainerEngine, reference: str, script: str) -> None:
    """Make `reference` in the engine's store: busybox, started as a shell with `script`."""
    command = "CMD " + json.dumps(["/bin/sh", "-c", script])
    podman(engine, "import", "--quiet", "--change", command, "-", reference, stdin=_archive())


def tiny_tree(directory: Path) -> None:
    """The same as a directory."""
    with tarfile.open(fileobj=io.BytesIO(_archive())) as tar:
        tar.extractall(directory, filter="data")


def containers(engine: ContainerEngine) -> list[str]:
    """The names of all containers in the store, running or not."""
    return podman(engine, "ps", "--all", "--format", "{{.Names}}").split()


def groups_named(name: str) -> list[str]:
    """The control groups at this path, in all hierarchies. Others' go while this looks: os.walk passes over them."""
    return [top for top, _, _ in os.walk("/sys/fs/cgroup") if top.endswith(f"/{name}")]


def _archive() -> bytes:
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    assert busybox, "this test needs busybox, and it is not installed: apt-get install busybox-static"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, "bin/busybox", Path(busybox).read_bytes())
        for applet in ("sh", "cat", "echo", "sleep", "httpd", "touch", "id", "env", "grep", "kill", "mkdir"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(content)
    tar.addfile(entry, io.BytesIO(content))
