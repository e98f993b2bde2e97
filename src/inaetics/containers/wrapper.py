"""The command `podman` of a host: what a person types in `inaetics ssh HOST` works on that host's own store."""

from __future__ import annotations

import shlex
from pathlib import Path

from inaetics.units.container import ContainerEngine

_TALKS_TO_REGISTRY = ("pull", "push", "build", "login", "search")

_SCRIPT = """\
#!/bin/sh
# {name} on this host's own container store, with the certificates of the cluster's registry. Made by inaetics.
case "$1" in
  {commands})
    command=$1; shift
    exec {engine} "$command" {certificates} "$@" ;;
esac
exec {engine} "$@"
"""

_PLAIN_SCRIPT = """\
#!/bin/sh
# {name} on this host's own container store. Made by inaetics.
exec {engine} "$@"
"""


def write_wrappers(directory: Path, engine: ContainerEngine) -> Path:
    """Put a `podman` that works on the engine's store into `directory`, for a PATH; return its path. Idempotent."""
    directory.mkdir(parents=True, exist_ok=True)
    wrapper = directory / "podman"
    wrapper.write_text(script(engine))
    wrapper.chmod(0o755)
    return wrapper


def script(engine: ContainerEngine) -> str:
    """The wrapper's text."""
    template = _SCRIPT if engine.pull_flags else _PLAIN_SCRIPT
    return template.format(
        name="podman",
        commands="|".join(_TALKS_TO_REGISTRY),
        engine=shlex.join(engine.command),
        certificates=shlex.join(engine.pull_flags),
    )
