"""The files that make a directory a host: its identity, environment, certificates, system units and configurations.

Written by every `up`, so that a newer release of the project takes effect at the next start. Idempotent. What the next
`up` makes again in any case need not survive a power cut; identities, keys and secrets must.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from importlib.resources import files

from inaetics.errors import NotFound
from inaetics.files import replace_file
from inaetics.hosts.certificates import Authority
from inaetics.hosts.cluster import Cluster, Host, Role, machine_id
from inaetics.hosts.environment import host_environment, to_text
from inaetics.hosts.etcd_member import settings_from, write_config
from inaetics.hosts.paths import HostPaths
from inaetics.hosts.pki import ensure_host
from inaetics.hosts.services import etcd_config, registry_config
from inaetics.hosts.system_units import system_units
from inaetics.hosts.wrappers import write_commands
from inaetics.ports import PEER_PORT


def write_host(cluster: Cluster, host: Host, paths: HostPaths, authorities: dict[str, Authority]) -> list[str]:
    """Write everything `host` needs to boot; returns which of its certificates were made anew."""
    paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = _ensure_identity(host, paths)
    written = ensure_host(paths, host, authorities)
    environment = host_environment(cluster, host, paths, machine_id=identity, python=sys.executable, outside=os.environ)
    replace_file(paths.environment, to_text(environment), durable=False)
    _write_units(host, paths)
    write_commands(paths)
    if host.role is Role.BOOTSTRAP:
        _write_discovery(host, paths)
    elif host.control:
        _rewrite_member(environment)
    if host.registry:
        _write_registry(paths)
    return written


def _ensure_identity(host: Host, paths: HostPaths) -> str:
    try:
        return machine_id(paths)
    except NotFound:
        identity = secrets.token_hex(16)
    record = {"version": 1, "name": host.name, "role": host.role.value, "address": host.address}
    replace_file(paths.file, json.dumps({**record, "machine_id": identity}, indent=2) + "\n")
    return identity


def _write_units(host: Host, paths: HostPaths) -> None:
    wanted = system_units(host)
    source = files("inaetics.hosts") / "system"
    for name in wanted:
        replace_file(paths.units / name, (source / name).read_text(), durable=False)
    for file in paths.units.iterdir():
        if file.name not in wanted:
            file.unlink()


def _write_discovery(host: Host, paths: HostPaths) -> None:
    discovery = etcd_config(
        name=host.name,
        address=host.address,
        data=paths.discovery / "data",
        pki=paths.pki,
        members={host.name: f"https://{host.address}:{PEER_PORT}"},
        clients="ca.pem",
    )
    replace_file(paths.state / "discovery.yml", discovery, durable=False)


def _write_registry(paths: HostPaths) -> None:
    config = registry_config(socket=paths.registry_socket, data=paths.registry, secret=_ensure_secret(paths))
    replace_file(paths.state / "registry.yml", config, durable=False)


def _rewrite_member(environment: dict[str, str]) -> None:
    """A member of the store that has joined gets its configuration as this release would make it."""
    member = settings_from(environment)
    if member.formation.exists():
        write_config(member, json.loads(member.formation.read_text()))


def _ensure_secret(paths: HostPaths) -> str:
    """What the registry signs its upload states with: kept, so that an upload survives its restart."""
    file = paths.state / "registry.secret"
    if not file.exists():
        replace_file(file, secrets.token_hex(32))
    return file.read_text()
