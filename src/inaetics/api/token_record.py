"""What the store holds of the control token. Apart from who judges it (`control_token`), which needs a server."""

from __future__ import annotations

import hashlib

KEY = "/inaetics/control/token"


def digest(token: str) -> bytes:
    """What the store holds of a token."""
    return hashlib.sha256(token.encode()).hexdigest().encode()
