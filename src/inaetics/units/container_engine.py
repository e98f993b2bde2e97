"""What a container unit has to know of its host's engine. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEngine:
    """A host's container engine, as a probe found it to work.

    `command` is the program with its global flags (`("podman", "--root", …, "--runtime", "runc")`), `run_flags` and
    `pull_flags` go to `run` and `pull`; flags that `to_service` sets too are overridden by those given here. Ports
    are published on `publish_address`. `pull_command` is a program of the host's that gets an image before a start
    and fails, with words that help, only when there is none; without it the engine's own `pull` is tried. `kind` is
    "podman" or "docker": docker's client stays in the foreground, because docker cannot notify.
    """

    command: tuple[str, ...]
    run_flags: tuple[str, ...] = ()
    pull_flags: tuple[str, ...] = ()
    pull_command: tuple[str, ...] = ()
    publish_address: str = "127.0.0.1"
    kind: str = "podman"
