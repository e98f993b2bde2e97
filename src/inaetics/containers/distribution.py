"""What every client of an image registry shares: addresses, certificates, manifests, and the words for what goes wrong.

Nothing but the standard library: node agents have it too.
"""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path

from inaetics.containers.daemon_log import log
from inaetics.errors import InvalidInput, NotFound, Unavailable
from inaetics.tls import client_context

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MANIFESTS = ", ".join(
    (
        OCI_MANIFEST,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
"""The kinds of manifest we understand, as `Accept` names them."""

_SHOWN = 200
"""So much of a registry's own words is passed on."""


def host_and_port(address: str) -> tuple[str, int]:
    """Take "127.17.8.2:5000" apart; raises `InvalidInput` for anything else."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InvalidInput(f"a registry's address is HOST:PORT, not {address!r}")
    return host, int(port)


def registry_context(address: str, certificates: Path) -> ssl.SSLContext:
    """For a client of the registry at `address`: `certificates` holds ca.crt, client.cert and client.key.

    Raises `Unavailable`, naming the file, when they are missing or cannot be used: the same may work later.
    """
    files = {"ca": "ca.crt", "cert": "client.cert", "key": "client.key"}
    paths = {part: certificates / name for part, name in files.items()}
    try:
        for path in paths.values():
            path.stat()  # TLS would not say which one is missing
        return client_context(**paths, whose="the registry client's", log=log)
    except (OSError, InvalidInput) as error:
        raise Unavailable(f"cannot ask the registry at {address}: {error} (`inaetics up` makes it anew)") from error


def unanswered(registry: str, error: OSError | http.client.HTTPException) -> Unavailable:
    """The error for a registry that did not answer, with what usually helps."""
    words = str(error) or type(error).__name__
    return Unavailable(f"the registry at {registry} does not answer: {words}{_help(error)}")


def missing(registry: str, path: str) -> NotFound:
    """The error for a path that a registry does not have."""
    return NotFound(f"the registry at {registry} has no {path.removeprefix('/v2/')}")


def words_of(content: bytes) -> str:
    """A registry's own words about a refusal, short enough for a message."""
    return content.decode(errors="replace").strip()[:_SHOWN]


def _help(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return " (is it the registry of this cluster?)"
    if isinstance(error, ConnectionRefusedError):
        return " (is its host up? `inaetics status` tells)"
    return ""
