"""The program that a unit runs before its container: get the image, and say what to do when there is none.

It runs at every start of every container. For an image that is named by its digest and is here, it must cost next to
nothing: that is done by the shell. All else is done by `inaetics.containers.pulling`, which knows the registries.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from inaetics.containers.pulling import Settings
from inaetics.units.container_engine import ContainerEngine

_SCRIPT = """\
#!/bin/sh
# Get an image before a container starts. Made by inaetics.
case $1 in
  *@sha256:*)  # what is here under this name is right: nobody is asked
    {engine} image inspect --format ok "$1" >/dev/null 2>&1 && exit 0 ;;
esac
exec {python} -P -m inaetics.containers.pulling {settings} "$1"
"""


def write_pull(
    directory: Path, engine: ContainerEngine, *, root: Path, registry: str, sources: Sequence[str], certificates: Path
) -> Path:
    """Put the program `pull-image` for the engine's store into `directory`; return its path.

    `registry` is what the cluster's images are named after, `sources` where they are looked for, best first; `root` is
    the store's directory.
    """
    settings = Settings(
        engine=list(engine.command),
        flags=list(engine.pull_flags),
        kind=engine.kind,
        registry=registry,
        sources={source: str(_sent_to(directory, registry, source)) for source in sources},
        certificates=str(certificates),
        root=str(root),
        lock=str(directory / "pull.lock"),
    )
    file = directory / "pull.json"
    file.write_text(json.dumps(asdict(settings), indent=2) + "\n")
    program = directory / "pull-image"
    text = _SCRIPT.format(
        engine=shlex.join(engine.command), python=shlex.quote(sys.executable), settings=shlex.quote(str(file))
    )
    program.write_text(text)
    program.chmod(0o755)
    return program


def _sent_to(directory: Path, registry: str, source: str) -> Path:
    """A registries.conf with which the engine gets images of `registry` from `source`, and names them as before."""
    file = directory / f"from-{source.replace(':', '-')}.conf"
    file.write_text(
        "unqualified-search-registries = []\n"
        'short-name-mode = "disabled"\n'
        f'[[registry]]\nprefix = "{registry}"\nlocation = "{source}"\n'
    )
    return file
