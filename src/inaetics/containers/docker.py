"""Docker, where podman is not to be had: a best effort, with less than podman gives.

All hosts share the daemon's one store: containers carry a label that says whose they are, an image built once is every
host's, and the cluster's registry is left out, because docker shows no certificate to a registry on a loopback address
("Client sent an HTTP request to an HTTPS server"). A power cut of a host does not reach the daemon's children: they go
when the host boots again.
"""

from __future__ import annotations

import os
from pathlib import Path

from inaetics.containers.findings import Findings
from inaetics.containers.process import run
from inaetics.units.container_engine import ContainerEngine

LABEL = "org.inaetics.store"

_IMAGE = "localhost/inaetics-probe:latest"
_STEP_S = 60.0


def probe_docker(program: str, image: bytes) -> Findings:
    """Import, run and build a tiny image; raises `CommandFailed` with docker's own words when that does not work."""
    asked = [program, "version", "--format", "{{.Server.Version}}"]
    version = run(asked, doing="reach docker's daemon", timeout_s=_STEP_S)
    run([program, "import", "-", _IMAGE], doing="import an image into docker", timeout_s=_STEP_S, stdin=image)
    try:
        tried = [program, "run", "--rm", "--network", "host", _IMAGE, "/bin/busybox", "true"]
        run(tried, doing="run a container in docker", timeout_s=_STEP_S)
        recipe = f'FROM {_IMAGE}\nRUN ["/bin/busybox", "true"]\n'.encode()
        built = run([program, "build", "--quiet", "-"], doing="build in docker", timeout_s=_STEP_S, stdin=recipe)
        run([program, "rmi", "--force", built], doing="remove an image from docker", timeout_s=_STEP_S)
    finally:
        run([program, "rmi", "--force", _IMAGE], doing="remove an image from docker", timeout_s=_STEP_S)
    return Findings(program=program, version=version, kind="docker")


def docker_engine(program: str, root: Path, address: str) -> ContainerEngine:
    """The engine of the host whose store would be at `root`."""
    daemon = [f"{name}={os.environ[name]}" for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if name in os.environ]
    return ContainerEngine(
        command=("/usr/bin/env", *daemon, program),
        run_flags=("--label", f"{LABEL}={root}"),
        publish_address=address,
        kind="docker",
    )


def remove_containers(engine: ContainerEngine) -> None:
    """Remove every container of this host, running or not, and no other."""
    label = engine.run_flags[-1]
    asked = [*engine.command, "ps", "--all", "--quiet", "--filter", f"label={label}"]
    if found := run(asked, doing="list containers", timeout_s=_STEP_S).split():
        run([*engine.command, "rm", "--force", "--volumes", *found], doing="remove containers", timeout_s=_STEP_S)
