"""What every benchmark prints with its figures: the machine, and a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path


def describe() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    cpu = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    gib = int(memory.split()[1]) / 1024**2
    return (
        f"{cpu}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"
    )


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
