"""What the API process is told by its host's environment (`host.env`), read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inaetics.api.endpoint import ClientTls
from inaetics.errors import InvalidInput
from inaetics.ports import API_PORT

SOCKET = "fleet.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Everything `python -m inaetics.api` needs to know."""

    address: str
    """Where it listens: the host's address, which is also in its certificate."""

    port: int
    """The port of the mutual-TLS listener."""

    socket: Path
    """The Unix socket, its owner's only."""

    tls: ClientTls
    """The API's certificate, shown to clients and to agents, and the CA that both must come from."""

    @property
    def clients_ca(self) -> Path:
        """The authorities of clients: also of readers and of node agents, where the host has such a file."""
        file = self.tls.ca.with_name("api-clients.pem")
        return file if file.exists() else self.tls.ca

    @property
    def nodes_ca(self) -> Path:
        """The authority of node agents; a host need not have the file."""
        return self.tls.ca.with_name("nodes-ca.pem")

    etcd_endpoints: tuple[str, ...]
    """Every member's client URL."""

    candidate: str
    """What the engine's office shows while this process holds it: the machine's name."""

    registries: tuple[str, ...] = ()
    """The cluster's image registries, the one that is pushed to first: they say what a tag means."""

    registry_certificates: Path = Path()
    """What is shown to them: a directory with ca.crt, client.cert and client.key."""

    events: Path | None = None
    """Where the events of the fleet are kept for the next start; None: nowhere."""

    power_switch: Path | None = None
    """The socket by which hosts are switched off and on; None where they are machines of their own."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything listens."""
        if not self.etcd_endpoints:
            raise InvalidInput("INAETICS_ETCD_ENDPOINTS names no etcd member: the API has nothing to serve")


def from_environment(environment: Mapping[str, str]) -> ApiSettings:
    """Read the `INAETICS_*` variables; raises `InvalidInput` that names every missing one."""
    needed = ("INAETICS_ADDRESS", "INAETICS_RUN", "INAETICS_PKI", "INAETICS_ETCD_ENDPOINTS", "INAETICS_HOST")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise InvalidInput(
            f"cannot start the fleet API: {', '.join(missing)} not set"
            " (a host's system unit sets them; by hand: inaetics ssh HOST -- python -m inaetics.api)"
        )
    pki = Path(environment["INAETICS_PKI"])
    return ApiSettings(
        address=environment["INAETICS_ADDRESS"],
        port=_port(environment.get("INAETICS_API_PORT", str(API_PORT))),
        socket=Path(environment["INAETICS_RUN"]) / SOCKET,
        tls=ClientTls(ca=pki / "ca.pem", cert=pki / "api.pem", key=pki / "api.key"),
        etcd_endpoints=tuple(filter(None, environment["INAETICS_ETCD_ENDPOINTS"].split(","))),
        candidate=environment["INAETICS_HOST"],
        registries=_registries(environment),
        registry_certificates=pki / "registry-client",
        power_switch=Path(environment["INAETICS_POWER"]) if environment.get("INAETICS_POWER") else None,
        events=Path(environment["INAETICS_STATE"]) / "events" if environment.get("INAETICS_STATE") else None,
    )


def _registries(environment: Mapping[str, str]) -> tuple[str, ...]:
    named = [environment.get("INAETICS_REGISTRY", ""), *environment.get("INAETICS_REGISTRIES", "").split(",")]
    return tuple(dict.fromkeys(filter(None, named)))


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise InvalidInput(f"INAETICS_API_PORT is {text!r}: it must be a port number")
    return int(text)
