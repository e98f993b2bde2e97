"""What agents and provisioning servers tell each other, as JSON. Pure.

A server stands in etcd with a `Registration`; an agent asks it for its `Deployment` (``GET /deployments/TARGET``),
fetches what is new (``GET`` of a bundle's `url`), and says what came of it with a `Report`
(``POST /reports/TARGET``). Both sides ignore fields they do not know: the other may be of another version.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from inaetics.bundles.signature import Signature

SERVERS = "/inaetics/node-provisioning-service/"
"""In etcd: every server has a key below it, under a lease; its value is the JSON of `Registration`."""
WITHIN_S = 20.0

Text = Annotated[str, msgspec.Meta(max_length=2000)]
Key = Annotated[str, msgspec.Meta(max_length=120)]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the page for people; agents ask at `agents_url` where there is one: it takes certificates (nodes-ca)."""

    url: str
    agents_url: str = ""


class DeployedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is relative to the server the deployment came from. The other fields become a file's name at the agent."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,62}\Z")]
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){1,3}\Z")]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    url: str
    size: int | None = None
    """Of the archive, in bytes."""
    signature: Signature | None = None


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``GET /deployments/TARGET``; agents of other versions ignore what they do not know."""

    version: str
    bundles: tuple[DeployedBundle, ...] = ()
    within_s: float = WITHIN_S
    """Seconds a bundle may take to start; later counts as a failure, and the deployment goes back."""

    @property
    def content(self) -> str:
        """The part of the version that names the bundles: two deployments with the same content are the same."""
        return self.version.rpartition("-")[2]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``POST /reports/TARGET``: what came of a deployment.

    `failed`: nothing was touched. `rolled-back`: something had been started and was taken away again. Bundles are named
    ``name-version``.
    """

    version: Key
    state: Literal["installed", "failed", "rolled-back"]
    error: Text = ""
    started: Annotated[tuple[Key, ...], msgspec.Meta(max_length=500)] = ()
    stopped: Annotated[tuple[Key, ...], msgspec.Meta(max_length=500)] = ()
    seconds: float = 0.0
