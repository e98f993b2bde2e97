"""Who is at the other end of a connection: the name in a certificate, and whose word that is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.tls import common_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The common name in a client's certificate, and that of the authority which signed it."""

    name: str
    issuer: str


def identity_of(certificate: Any) -> Identity:
    """Read what `ssl` shows of a verified certificate."""
    return Identity(name=common_name(certificate), issuer=common_name(certificate, of="issuer"))


def authority_names(file: Path) -> frozenset[str]:
    """The names of the authorities in a file. A verified certificate bears the name of the one that signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return frozenset(map(common_name, context.get_ca_certs()))
