"""Small programs in front of a host's PATH, so that what people type acts on that host and not on the machine below."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from inaetics.files import replace_file
from inaetics.hosts.paths import HostPaths
from inaetics.units.container_engine import ContainerEngine

COMMANDS = {
    "fleetctl": "inaetics.cli.fleetctl",
    "inaetics": "inaetics.cli.inaetics",
    "inaetics_fleet_manager": "inaetics.cli.fleet_manager",
}
"""The project's own commands and the modules whose `main` they are."""


def write_commands(paths: HostPaths) -> None:
    """Our own commands, whether or not the virtual environment is on anybody's PATH."""
    for name, module in COMMANDS.items():
        code = shlex.quote(f"from {module} import main; main()")
        _write(paths, name, f'exec "$INAETICS_PYTHON" -P -c {code} "$@"')


def write_podman(paths: HostPaths, engine: ContainerEngine, *, registries: Sequence[str]) -> None:
    """`podman` (or `docker`) on the host's own store, with the certificate for the cluster's `registries` (host:port).

    Engines look for certificates below $HOME, so they get one of the host's own; that also keeps a person's settings
    out, as units run without them.
    """
    home = paths.state / "home"
    for registry in registries:
        certificates = home / ".config" / "containers" / "certs.d" / registry
        if not certificates.is_symlink():
            certificates.parent.mkdir(parents=True, exist_ok=True)
            certificates.symlink_to(paths.pki / "registry-client")
    _write(paths, engine.kind, f'HOME={shlex.quote(str(home))} exec {shlex.join(engine.command)} "$@"')


def _write(paths: HostPaths, name: str, line: str) -> None:
    script = f"#!/bin/sh\n# made by inaetics up\n{line}\n"
    replace_file(paths.bin / name, script, mode=0o700, durable=False)  # every `up` makes it again
