"""The program that a unit runs before its container: get the newest image, and say what to do when there is none.

A script, not Python: it runs at every start of every container, and must cost next to nothing.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from inaetics.units.container import ContainerEngine

QUICK_S = 30
"""How long a newer image is waited for when an older one is here: a registry that hangs must not hold up a restart."""

PATIENCE_S = 60
"""How long a first pull waits for another image's to end before it goes on beside it."""

_SCRIPT = """\
#!/bin/bash
# Get the newest image of a tag before a container starts; one that is here is enough when no registry answers.
# Made by inaetics.
image=$1
registry=${{image%%/*}}
engine() {{ {engine} "$@"; }}

answers() {{
  case $registry in
    *:*) timeout 3 bash -c "exec 3<>/dev/tcp/${{registry%:*}}/${{registry##*:}}" 2>/dev/null ;;
    *) true ;;
  esac
}}

if engine image inspect --format ok "$image" >/dev/null 2>&1; then
  [ {kind} = docker ] && exit 0  # all hosts share docker's images: this is the newest
  if ! answers; then
    echo "the registry at $registry does not answer: starting the image that is here" >&2
  elif ! said=$(timeout -k 2 {quick} {engine} pull --quiet {flags} "$image" 2>&1); then
    echo "no newer image could be got, starting the one that is here: $said" >&2
  fi
  exit 0
fi

name=${{image##*/}}
name=${{name%%[:@]*}}
if ! answers; then
  echo "image '$image' is not on this host, and the registry at $registry does not answer (is its host up?" \\
    "'inaetics status' tells; the start is tried again)" >&2
  exit 1
fi
# One at a time: the images of one host share most layers, and whoever comes second finds them here.
exec 9>>{lock}
flock --wait {patience} 9
said=$(engine pull --quiet {flags} "$image" 2>&1) && exit 0
case $said in
  *"manifest unknown"* | *"name unknown"* | *"not found"*)
    echo "image '$image' is not in any registry (build it: inaetics image build $name;" \\
      "then: inaetics image push $name)" >&2 ;;
  *"no space left"*)
    echo "image '$image' cannot be stored: the disk is full" >&2 ;;
  *)
    echo "image '$image' cannot be pulled: $said" >&2 ;;
esac
exit 1
"""


def write_pull(directory: Path, engine: ContainerEngine) -> Path:
    """Put the program `pull-image` for the engine's store into `directory`; return its path."""
    program = directory / "pull-image"
    program.write_text(script(engine, lock=directory / "pull.lock"))
    program.chmod(0o755)
    return program


def script(engine: ContainerEngine, *, lock: Path) -> str:
    """The program's text; `lock` is a file beside which first pulls queue."""
    return _SCRIPT.format(
        engine=shlex.join(engine.command),
        flags=shlex.join(engine.pull_flags),
        quick=QUICK_S,
        kind=engine.kind,
        lock=shlex.quote(str(lock)),
        patience=PATIENCE_S,
    )
