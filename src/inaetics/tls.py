"""TLS contexts that outlive their certificates: files that were renewed are taken up by the next connection.

Promises: a certificate on disk that cannot be used (half of it written, of another key, or ended) leaves the one before
in use; connections that stand are not touched. An authority that is no longer in its file is believed until the process
restarts.
"""

from __future__ import annotations

import datetime
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from inaetics.errors import InvalidInput
from inaetics.override import override

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
            if has_ended(self._files[1].read_text()):
                return
            _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)  # a failure in the middle must not cost us ours
            _load(self, self._files)
        except (OSError, UnicodeDecodeError) as error:  # SSLError is an OSError
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


def end_of(pem: str) -> datetime.datetime | None:
    """When a certificate ends (UTC), without loading a library for it; None for what is none.

    X.509 has two times, begin and end, each as YYMMDDhhmmssZ before 2050 and as YYYYMMDDhhmmssZ after.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(pem)
        short, long = re.findall(rb"\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z", der)[1]
        text, year = (f"{short.decode()}+0000", "%y") if short else (f"{long.decode()}+0000", "%Y")
        return datetime.datetime.strptime(text, f"{year}%m%d%H%M%S%z")
    except (ValueError, IndexError):
        return None


def has_ended(pem: str) -> bool:
    """Whether nobody would take this certificate any more; so for what is none."""
    end = end_of(pem)
    return end is None or end <= datetime.datetime.now(datetime.UTC)


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
