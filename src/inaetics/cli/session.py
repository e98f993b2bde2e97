"""What the commands that speak to the fleet share: which API, with which certificate.

An endpoint that was named is the only one used. Otherwise the sockets of the cluster's control hosts are tried in
order; a socket left behind by a dead API is skipped. With a tunnel all of this is so at its other end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inaetics.cli.common import say
from inaetics.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.endpoint import ClientTls
    from inaetics.api.ssh import SshOptions
    from inaetics.api.tunnel import Tunnel

Command = TypeVar("Command", bound=Callable[..., Any])


def tls_options(command: Command) -> Command:
    """Add `--ca-file`, `--cert-file` and `--key-file`, as the original has them."""
    for name, what in (("key", "Our private key"), ("cert", "Our certificate"), ("ca", "The cluster's CA")):
        command = click.option(
            f"--{name}-file",
            type=click.Path(path_type=Path),
            envvar=f"FLEETCTL_{name.upper()}_FILE",
            help=f"{what}, for https endpoints. Else the operator's, from the cluster's state.",
        )(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Which fleet the person means."""

    cluster: str
    endpoint: str | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    request_timeout: float = 10.0
    tunnel: Tunnel | None = None
    ssh: SshOptions | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Session:
        """From the group's options, by their names."""
        from inaetics.cli.tunnel_options import tunnel_of

        return cls(**tunnel_of(options))

    def client(self) -> FleetClient:
        """A client of that fleet's API; connects with its first request."""
        from inaetics.api.client import FleetClient

        endpoints, tls = self.way()
        return FleetClient(endpoints, tls, timeout_s=self.request_timeout, tunnel=self.tunnel)

    def way(self) -> tuple[tuple[str, ...], ClientTls | None]:
        """The endpoints to try, and the certificate to show, where one of them wants it."""
        endpoints = self.endpoints()
        secure = any(endpoint.startswith("https:") for endpoint in endpoints)
        return endpoints, self._tls() if secure else None

    def control_token(self) -> str | None:
        """The cluster's control token where this person can read it; None elsewhere, as on another machine."""
        from inaetics.hosts.control import token_file
        from inaetics.hosts.paths import cluster_paths

        try:
            return token_file(cluster_paths(self.cluster)).read_text().strip()
        except OSError:
            return None

    def warn(self, client: FleetClient) -> None:
        """Tell people when what was just read may be out of date."""
        if client.stale:
            say(f"warning: this may be out of date: {client.stale}")

    def endpoints(self) -> tuple[str, ...]:
        """The endpoints to try, in order; raises `Unavailable` when there is none."""
        if self.endpoint is not None:
            named = tuple(part for part in (part.strip() for part in self.endpoint.split(",")) if part)
            if not named:
                raise InvalidInput("the endpoint is empty: give --endpoint unix:///PATH or https://ADDRESS")
            from inaetics.api.endpoint import check_endpoint

            for each in named:
                check_endpoint(each)
            return named
        from inaetics.hosts.paths import cluster_paths, fleet_sockets

        if self.tunnel is not None:
            from inaetics.api.tunnel import CLUSTER

            # Twice: when the API that answers dies over a request, whichever answers then is asked again.
            return (f"{CLUSTER}{cluster_paths(self.cluster).name}",) * 2

        sockets = fleet_sockets(self.cluster)
        if not sockets:
            up = "inaetics up" if self.cluster == "demo" else f"inaetics up --cluster {self.cluster}"
            raise Unavailable(
                f"no fleet API of cluster {self.cluster!r} runs on this machine (start the cluster: {up};"
                " or name an API elsewhere: --endpoint https://ADDRESS)"
            )
        return tuple(f"unix://{path}" for path in sockets)

    def _tls(self) -> ClientTls:
        from inaetics.api.endpoint import ClientTls
        from inaetics.hosts.paths import cluster_paths

        if own := os.environ.get("INAETICS_PKI"):
            pki, name = Path(own), "agent"
        else:
            pki, name = cluster_paths(self.cluster).pki, "operator"
        return ClientTls(
            ca=self.ca_file or pki / "ca.pem",
            cert=self.cert_file or pki / f"{name}.pem",
            key=self.key_file or pki / f"{name}.key",
        )


pass_session = click.make_pass_decorator(Session)
