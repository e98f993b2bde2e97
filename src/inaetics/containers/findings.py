"""What a probe found out about a machine's container engine, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How containers run and images build on this machine; empty means the engine's own choice.

    `program` is the engine's absolute path. `ulimits` are podman's (`nofile=1024:1024`): where the machine lacks
    CAP_SYS_RESOURCE the engine's own limits cannot be set. `cgroup_parents`: containers can be put below a cgroup
    of ours. `isolation` is that of `podman build` with RUN steps. `kind` is "podman" or "docker".
    """

    program: str
    version: str
    storage_driver: str = ""
    cgroup_manager: str = ""
    runtime: str = ""
    ulimits: tuple[str, ...] = ()
    cgroup_parents: bool = False
    isolation: str = ""
    kind: str = "podman"
