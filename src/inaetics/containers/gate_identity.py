"""Who is at the other end of a connection, and the gate's own certificate, renewed when its files are."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inaetics.containers.daemon_log import log


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The common name in a client's certificate, and that of the authority which signed it."""

    name: str
    issuer: str


def identity_of(certificate: Any) -> Identity:
    """Read what `ssl` shows of a verified certificate."""
    found = certificate or {}
    return Identity(name=_common_name(found.get("subject", ())), issuer=_common_name(found.get("issuer", ())))


def authority_names(file: Path) -> frozenset[str]:
    """The names of the authorities in a file. A verified certificate bears the name of the one that signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    return frozenset(_common_name(each.get("subject", ())) for each in context.get_ca_certs())


class Certificates:
    """TLS contexts for a server that shows `cert` and takes clients of the authorities in `clients`.

    Files that were renewed count from the next connection on; such as cannot be used leave those before in use.
    """

    def __init__(self, *, cert: Path, key: Path, clients: Path) -> None:
        self._files = (cert, key, clients)
        self._lock = threading.Lock()
        self._stamp, self._context = self._stamp_now(), self._load()

    def context(self) -> ssl.SSLContext:
        """The context to use now."""
        with self._lock:
            try:
                if (now := self._stamp_now()) != self._stamp:
                    self._context = self._load()
                    self._stamp = now
                    log("certificate renewed", file=str(self._files[0]))
            except OSError as error:  # SSLError is an OSError
                log("certificate not usable, the one before stays", level="warning", reason=str(error))
            return self._context

    def _load(self) -> ssl.SSLContext:
        cert, key, clients = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(cert, key)
        context.load_verify_locations(clients)
        return context

    def _stamp_now(self) -> tuple[tuple[int, int, int], ...]:
        stats = (file.stat() for file in self._files)
        return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in stats)


def _common_name(pairs: Any) -> str:
    return next((str(value) for part in pairs for name, value in part if name == "commonName"), "")
