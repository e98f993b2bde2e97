"""A member of the cluster's etcd: what its host tells it, and the configuration that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inaetics.errors import InvalidInput
from inaetics.files import replace_file
from inaetics.hosts.formation import DATA, FORMATION, FORMING, JOINING
from inaetics.hosts.services import etcd_config

PREFIX = "/inaetics/formation/"
"""At the discovery etcd: `<cluster id>/<member>` → peer URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the host's environment tells a member."""

    name: str
    address: str
    cluster_id: str
    size: int
    """How many members the cluster shall have."""
    discovery: str
    state: Path
    pki: Path
    members: str = ""
    """The members as etcd writes them (`name=url,…`), where they are known beforehand."""

    @property
    def formation(self) -> Path:
        """The members, as found once: name → peer URL."""
        return self.state / "etcd" / FORMATION

    @property
    def forming(self) -> Path:
        """There from here on until etcd was ready for the first time (etcd.service takes it away)."""
        return self.formation.with_name(FORMING)

    @property
    def prefix(self) -> str:
        return f"{PREFIX}{self.cluster_id}/"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the `INAETICS_*` variables; raises `InvalidInput` that names a missing one."""
    try:
        return Settings(
            name=environment["INAETICS_HOST"],
            address=environment["INAETICS_ADDRESS"],
            cluster_id=environment["INAETICS_CLUSTER_ID"],
            size=int(environment["INAETICS_ETCD_SIZE"]),
            discovery=environment["INAETICS_DISCOVERY"],
            state=Path(environment["INAETICS_STATE"]),
            pki=Path(environment["INAETICS_PKI"]),
            members=environment.get("INAETICS_ETCD_MEMBERS", ""),
        )
    except KeyError as error:
        raise InvalidInput(
            f"cannot join the store: {error.args[0]} is not set (a host's system unit sets it)"
        ) from None


def write_config(settings: Settings, members: Mapping[str, str]) -> None:
    """Write etcd's configuration file for a member that knows its cluster.

    A member without a certificate for its peers belongs to a cluster made before there was one.
    """
    config = etcd_config(
        name=settings.name,
        address=settings.address,
        data=settings.state / "etcd" / DATA,
        pki=settings.pki,
        members=members,
        peers=(settings.pki / "etcd-peer.pem").exists(),
        joining=settings.formation.with_name(JOINING).exists(),
    )
    replace_file(settings.state / "etcd.yml", config)
