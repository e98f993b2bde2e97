"""Follows a tutorial word for word: runs its commands, writes its files, looks for what it says one will see.

In the Markdown, a block marked ``sh`` is run (each in the directory where the one before ended); a line that is only a
path in backquotes and a colon, with a block behind it, is a file to write; a block marked ``text`` says what appears in
the output of the commands before it, line by line, at once or after a moment: then the last line is run again.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

_PATH = re.compile(r"`([^`\s]+)`:\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    commands: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class See:
    lines: tuple[str, ...]


Step = Run | Write | See


def steps(markdown: str, *, until: str = "") -> list[Step]:
    """What a tutorial tells to do, up to the heading `until`."""
    text = markdown.split(f"\n## {until}", 1)[0] if until else markdown
    return list(_steps(text))


def follow(todo: list[Step], directory: Path, environment: Mapping[str, str], *, within_s: float = 60) -> None:
    """Do it all, beginning in `directory`. Raises AssertionError for a command that fails or shows something else."""
    shell = _Shell(directory, environment)
    output, last = "", ""
    for step in todo:
        match step:
            case Run(commands=commands):
                output, last = shell.run(commands), commands.strip().splitlines()[-1]
            case Write(path=path, text=text):
                (shell.directory / path).write_text(text)
            case See(lines=lines):
                if not _all_in(lines, output):
                    eventually(
                        lambda lines=lines, last=last: _all_in(lines, shell.run(last)),  # type: ignore[misc]
                        within_s=within_s,
                        what=f"{last} shows {lines}; it showed {output}",
                    )


def _all_in(lines: tuple[str, ...], output: str) -> bool:
    return all(line in output for line in lines)


class _Shell:
    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = {**os.environ, **environment}

    def run(self, commands: str) -> str:
        """Run lines as one script, which must succeed; returns what they printed."""
        script = f"set -euo pipefail\n{commands}\nprintf '\\n%s' \"$PWD\""
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n→ {done.returncode}\n{done.stdout}\n{done.stderr}"
        output, _, directory = done.stdout.rpartition("\n")
        self.directory = Path(directory)
        return output + done.stderr


def _steps(text: str) -> Iterator[Step]:
    before = ""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("```"):
            before = line.strip() or before
            continue
        body = "".join(f"{inner}\n" for inner in iter(lambda: next(lines), "```"))
        path = _PATH.match(before)
        match line.removeprefix("```"):
            case "sh":
                yield Run(commands=body)
            case "text":
                yield See(lines=tuple(filter(None, map(str.strip, body.splitlines()))))
            case _ if path:
                yield Write(path=path.group(1), text=body)
            case kind:
                raise AssertionError(f"a block of {kind!r} behind {before!r}: neither commands, nor a file, nor output")
        before = ""
