"""What distribution and discovery tell each other, through Pelix's service registry, when both are of this package.

Discovery alone knows what etcd says, distribution alone whether a provider answers.
"""

from __future__ import annotations

import enum
from typing import Protocol

from pelix.constants import Specification
from pelix.rsa.endpointdescription import EndpointDescription

SERVICE_REACHABILITY = "inaetics.remote.reachability"
SERVICE_SUSPICIONS = "inaetics.remote.suspicions"


class Presence(enum.Enum):
    """What a provider shows of an endpoint."""

    EXPORTED = "exported"
    WITHDRAWN = "withdrawn"
    DEAD = "dead"
    """Its port refuses, or belongs to another process."""
    SILENT = "silent"


@Specification(SERVICE_REACHABILITY)
class Reachability(Protocol):
    """Offered by the distribution provider."""

    def presence(self, endpoint: EndpointDescription, *, within_s: float) -> Presence:
        """Ask the provider of `endpoint` whether it still exports it. Blocks; raises nothing."""
        ...


@Specification(SERVICE_SUSPICIONS)
class Suspicions(Protocol):
    """Offered by discovery."""

    def suspect(self, framework: str) -> None:
        """A connection to this framework broke or was refused. Returns at once."""
        ...
