"""What a node agent and a provisioning server are told by their environment: the unit's `Environment=`, and mounts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inaetics.errors import InvalidInput
from inaetics.ports import PAGE_PORT, SHELL_PORT
from inaetics.store.etcd import Tls

TLS_DIRECTORY = "/run/inaetics/tls"
DATA_DIRECTORY = "/var/lib/inaetics"
SIGNERS = "signers.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Read with `read_settings`."""

    agent: str
    """Target id (``felix@1``); a provisioning server's own name. From INAETICS_AGENT."""
    address: str
    """The host's address, where everything listens. From INAETICS_ADDRESS."""
    host: str
    """The host's name. From INAETICS_HOST."""
    etcd_endpoints: tuple[str, ...]
    """From INAETICS_ETCD_ENDPOINTS, separated by commas."""
    page_port: int = PAGE_PORT
    """From INAETICS_PAGE_PORT."""
    shell_port: int = SHELL_PORT
    """From INAETICS_SHELL_PORT."""
    debug_port: int | None = None
    """From INAETICS_DEBUG_PORT; no debugger without it."""
    tls_directory: Path | None = None
    """Holds ca.pem, cert.pem and key.pem. From INAETICS_TLS_DIR, else `TLS_DIRECTORY` where that exists."""
    data: Path = Path(DATA_DIRECTORY)
    """A directory of the agent's own, below INAETICS_DATA."""
    registries: tuple[str, ...] = ()
    """Where a provisioning server fetches archives, in this order. From INAETICS_REGISTRIES, separated by commas, and
    INAETICS_REGISTRY."""
    api_endpoints: tuple[str, ...] = ()
    """The fleet's API on every control host. From INAETICS_API_ENDPOINTS, separated by commas."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Framework properties for an agent's bundles, which know what they mean. From INAETICS_PROPERTIES, `name=value`
    separated by blanks."""
    agents_port: int = 0
    """A provisioning server's port for agents. From INAETICS_AGENTS_PORT, else any free one."""

    @property
    def anchors(self) -> Path | None:
        """Whose signatures of bundles count; None where nobody said so."""
        file = self.tls_directory / SIGNERS if self.tls_directory else None
        return file if file and file.exists() else None

    @property
    def etcd_tls(self) -> Tls | None:
        """How to reach etcd: with certificates exactly when its endpoints are https."""
        if not self.etcd_endpoints[0].startswith("https:"):
            return None
        if self.tls_directory is None:
            raise InvalidInput(f"etcd is at {self.etcd_endpoints[0]} but there are no certificates in {TLS_DIRECTORY}")
        directory = self.tls_directory
        return Tls(ca=directory / "ca.pem", cert=directory / "cert.pem", key=directory / "key.pem")


def read_settings(environment: Mapping[str, str], *, agent: str | None = None) -> Settings:
    """Read the variables above; `agent` is the name of a process that needs no INAETICS_AGENT.

    Raises `InvalidInput` naming the variable that is missing or wrong.
    """
    name = environment.get("INAETICS_AGENT") or agent or _needed(environment, "INAETICS_AGENT")
    if "/" in name or name in {".", ".."}:
        raise InvalidInput(f"INAETICS_AGENT is {name!r}: a target id such as felix@1 has no '/'")
    debug = environment.get("INAETICS_DEBUG_PORT")
    return Settings(
        agent=name,
        address=_address(_needed(environment, "INAETICS_ADDRESS")),
        host=environment.get("INAETICS_HOST", ""),
        etcd_endpoints=tuple(filter(None, _needed(environment, "INAETICS_ETCD_ENDPOINTS").split(","))),
        page_port=_port(environment, "INAETICS_PAGE_PORT", PAGE_PORT),
        shell_port=_port(environment, "INAETICS_SHELL_PORT", SHELL_PORT),
        debug_port=_port(environment, "INAETICS_DEBUG_PORT", 0) if debug else None,
        tls_directory=_tls_directory(environment),
        data=Path(environment.get("INAETICS_DATA", DATA_DIRECTORY)) / name,
        registries=_registries(environment),
        api_endpoints=tuple(filter(None, environment.get("INAETICS_API_ENDPOINTS", "").split(","))),
        properties=_properties(environment.get("INAETICS_PROPERTIES", "")),
        agents_port=_port(environment, "INAETICS_AGENTS_PORT", 0),
    )


def _properties(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if not _PROPERTY.fullmatch(name) or not value:
            raise InvalidInput(
                f"INAETICS_PROPERTIES has {word!r}: it is name=value name=value …, separated by blanks, each name in"
                " parts with points between them (as inaetics.producer.rate=900)"
            )
        if name in found:
            raise InvalidInput(f"INAETICS_PROPERTIES says what {name} is twice: {found[name]!r} and {value!r}")
        found[name] = value
    return found


_PROPERTY = re.compile(r"[A-Za-z][\w-]*(\.[\w-]+)+", re.ASCII)


def _registries(environment: Mapping[str, str]) -> tuple[str, ...]:
    named = [*environment.get("INAETICS_REGISTRIES", "").split(","), environment.get("INAETICS_REGISTRY", "")]
    return tuple(dict.fromkeys(filter(None, named)))


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise InvalidInput(f"the variable {name} is not set (the unit file sets it: Environment={name}=…)")
    return value


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise InvalidInput(f"INAETICS_ADDRESS is {text!r}: it must be this host's IP address") from error


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise InvalidInput(f"{name} is {text!r}: it must be a port, 0 to 65535")
    return int(text)


def _tls_directory(environment: Mapping[str, str]) -> Path | None:
    text = environment.get("INAETICS_TLS_DIR")
    path = Path(text or TLS_DIRECTORY)
    return path if text or path.is_dir() else None
