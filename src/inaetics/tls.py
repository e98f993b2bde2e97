"""TLS contexts that outlive their certificates: files that were renewed are taken up by the next connection.

Promises: a certificate on disk that cannot be used (half of it written, or of another key) leaves the one before in
use; connections that stand are not touched. An authority that is no longer in its file is believed until the process
restarts.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from inaetics.errors import InvalidInput

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: Any) -> Any:
        """Mark for the type checker only: Python 3.11 has none."""
        return method


_log = structlog.get_logger()

Stamp = tuple[tuple[int, int, int], ...]


class RenewingContext(ssl.SSLContext):
    """Use `server_context` or `client_context`."""

    _files: tuple[Path, Path, Path]
    _seen: Stamp

    def use(self, *, ca: Path, cert: Path, key: Path) -> None:
        """Take these files now, and again whenever they are others; raises `OSError` or `ssl.SSLError`."""
        self._files = (ca, cert, key)
        self._seen = _stamp(self._files)
        _load(self, self._files)

    @override
    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        self._renew()
        return super().wrap_bio(*args, **options)

    @override
    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        self._renew()
        return super().wrap_socket(*args, **options)

    def _renew(self) -> None:
        try:
            stamp = _stamp(self._files)
            if stamp == self._seen:
                return
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)  # a failure in the middle must not cost us ours
            _load(self, self._files)
        except OSError as error:  # SSLError is one
            _log.warning("certificate not usable, the one before stays", file=str(self._files[1]), reason=str(error))
            return
        self._seen = stamp
        _log.info("certificate renewed", file=str(self._files[1]))


def server_context(*, ca: Path, cert: Path, key: Path, whose: str) -> RenewingContext:
    """For a server that shows `cert` and takes only clients with a certificate of an authority in `ca`.

    Raises `InvalidInput` for files that cannot be used; `whose` certificate it is begins to say so: "the API's".
    """
    context = RenewingContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_files(context, ca, cert, key, whose)


def client_context(*, ca: Path, cert: Path, key: Path, whose: str) -> RenewingContext:
    """For a client that shows `cert` and believes the authorities in `ca` alone; raises as `server_context`."""
    return _with_files(RenewingContext(ssl.PROTOCOL_TLS_CLIENT), ca, cert, key, whose)


def common_name(peer: Any) -> str:
    """The name in a peer's certificate as `ssl` shows it (`getpeercert`); empty when it has none."""
    pairs = (pair for part in (peer or {}).get("subject", ()) for pair in part)
    return next((str(value) for name, value in pairs if name == "commonName"), "")


def _with_files(context: RenewingContext, ca: Path, cert: Path, key: Path, whose: str) -> RenewingContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.use(ca=ca, cert=cert, key=key)
    except OSError as error:
        raise InvalidInput(f"cannot use {whose} certificate {cert} (CA {ca}): {error}") from error
    return context


def _load(context: ssl.SSLContext, files: Sequence[Path]) -> None:
    ca, cert, key = map(str, files)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)


def _stamp(files: Sequence[Path]) -> Stamp:
    stats = (file.stat() for file in files)
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in stats)
