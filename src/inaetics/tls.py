"""TLS contexts that outlive their certificates: files that were renewed are taken up by the next connection.

Promises: a certificate on disk that cannot be used (half of it written, of another key, or ended) leaves the one before
in use; connections that stand are not touched; an authority that is no longer in its file is believed by no connection
made after. Small programs use it too, so structlog, 11 MB, is imported only once there is something to say, and not by
who brings a log of its own.
"""

from __future__ import annotations

import datetime
import re
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from inaetics.errors import InvalidInput
from inaetics.override import override

Stamp = tuple[tuple[int, int, int], ...]


class Log(Protocol):
    """Where it is said that a certificate was renewed, or could not be."""

    def __call__(self, event: str, *, level: str = "info", **fields: object) -> None: ...


class RenewingContext(ssl.SSLContext):
    """Use `server_context` or `client_context`. Any thread may.

    Each renewal makes a context of its own, which connections are then made with: one that other threads are using at
    that moment is never changed.
    """

    _files: tuple[Path, Path, Path]
    _log: Log
    _seen: Stamp
    _trouble: str
    _now: ssl.SSLContext
    _lock: threading.Lock

    def use(self, *, ca: Path, cert: Path, key: Path, log: Log) -> None:
        """Take these files now, and again whenever they are others; raises `OSError` or `ssl.SSLError`."""
        self._lock = threading.Lock()
        self._log = log
        self._files = (ca, cert, key)
        self._seen, self._trouble = _stamp(self._files), ""
        self._now = _loaded(self.protocol, self._files)

    @override
    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.current().wrap_bio(*args, **options)

    @override
    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self.current().wrap_socket(*args, **options)

    def current(self) -> ssl.SSLContext:
        """The context for a connection that is made now, with what was set on this one."""
        with self._lock:
            self._renew()
            self._now.check_hostname = self.check_hostname
            self._now.verify_mode = self.verify_mode
            self._now.minimum_version, self._now.maximum_version = self.minimum_version, self.maximum_version
            return self._now

    def _renew(self) -> None:
        certificate = self._files[1]
        try:
            stamp = _stamp(self._files)
            if stamp == self._seen:
                return
            if has_ended(certificate.read_text()):
                return
            self._now = _loaded(self.protocol, self._files)
        except (OSError, UnicodeDecodeError) as error:  # SSLError is an OSError
            if (reason := str(error)) != self._trouble:  # once, not with each connection
                told = "certificate not usable, the one before stays"
                self._log(told, level="warning", file=str(certificate), reason=reason)
            self._trouble = reason
            return
        self._seen, self._trouble = stamp, ""
        self._log("certificate renewed", file=str(certificate))


def structured_log(event: str, *, level: str = "info", **fields: object) -> None:
    """As all daemons log."""
    import structlog

    getattr(structlog.get_logger(), level)(event, **fields)


def server_context(*, ca: Path, cert: Path, key: Path, whose: str, log: Log = structured_log) -> RenewingContext:
    """For a server that shows `cert` and takes only clients with a certificate of an authority in `ca`.

    Raises `InvalidInput` for files that cannot be used; `whose` certificate it is begins to say so: "the API's".
    """
    context = RenewingContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return _with_files(context, ca, cert, key, whose, log)


def client_context(*, ca: Path, cert: Path, key: Path, whose: str, log: Log = structured_log) -> RenewingContext:
    """For a client that shows `cert` and believes the authorities in `ca` alone; raises as `server_context`."""
    return _with_files(RenewingContext(ssl.PROTOCOL_TLS_CLIENT), ca, cert, key, whose, log)


def common_name(certificate: Any, *, of: Literal["subject", "issuer"] = "subject") -> str:
    """A name in a certificate as `ssl` shows it (`getpeercert`), its holder's or its signer's; empty without one."""
    pairs = (pair for part in (certificate or {}).get(of, ()) for pair in part)
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


def _with_files(context: RenewingContext, ca: Path, cert: Path, key: Path, whose: str, log: Log) -> RenewingContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.use(ca=ca, cert=cert, key=key, log=log)
    except OSError as error:
        raise InvalidInput(f"cannot use {whose} certificate {cert} (CA {ca}): {error}") from error
    return context


def _loaded(protocol: int, files: Sequence[Path]) -> ssl.SSLContext:
    ca, cert, key = map(str, files)
    context = ssl.SSLContext(protocol)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(ca)
    return context


def _stamp(files: Sequence[Path]) -> Stamp:
    stats = (file.stat() for file in files)
    return tuple((found.st_mtime_ns, found.st_ino, found.st_size) for found in stats)
