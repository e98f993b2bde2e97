"""The wire to etcd: calls with a deadline that go on to another member when one fails, and etcd's errors as ours.

It is loaded late, by `connect`: nothing that is imported before may import this module.

One member is used at a time, and left when it refuses, fails or does not answer: a client costs one connection, and
a member that hangs delays one call, not every third as when calls go round. Where a client begins is left to chance.

Promises: a call is tried while its deadline allows; whether a failed attempt may yet have been applied is told, never
guessed (`Doubt`); one that was slow is told of where that is wanted, with the members it was tried at.

A member that is alive may lose a write without a word: one that hands it on to a leader that has just died, or over a
link that has just come back, never hears of it again and says so only after 7 s ("etcdserver: request timed out"). So
a first attempt is short, and the next one goes to another member.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from inaetics.errors import InaeticsError, InvalidInput, LeaseLost, NotFound, Unavailable
from inaetics.store.channel import Call, Channel
from inaetics.store.endpoints import Tls, common_name, read_credentials
from inaetics.store.rpc import RpcError, Status
from inaetics.store.schema import Method
from inaetics.tls import has_ended

_log = structlog.get_logger()

_RETRIED = frozenset(
    {
        Status.UNAVAILABLE,
        Status.DEADLINE_EXCEEDED,
        Status.CANCELLED,  # a member that is stopping
        Status.INTERNAL,  # a stream reset by a member that was killed
        Status.UNKNOWN,
    }
)

_PASSING = ("etcdserver: revision of auth store is old", "etcdserver: user name is empty")
"""Refusals that come of users or roles being changed at this moment: the same call is taken a moment later."""

_NOT_TAKEN = "etcdserver: no leader"
"""A refusal that comes before anything is applied."""

_RETIRED_S = 5.0
"""How long a call under way may still take on a connection that is replaced by one with a renewed certificate."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_FIRST_ATTEMPT = 0.2
"""Part of its time that a call gives to its first attempt: a member that hangs leaves enough for two others."""

_SLOW_S = 1.0
"""A call that took longer is told of, though it was answered in the end."""

_SLOW_AGAIN_S = 10.0
"""No more often: a store that is slow is slow for everything."""


@dataclass(slots=True)
class Doubt:
    """Whether an attempt that failed may have been applied all the same: its answer was lost."""

    applied: bool = False


Member = Channel
"""One member's connection; it connects when it is first used."""


class Wire:
    """All members of one cluster, one of them in use. Make it with `open_wire`."""

    def __init__(self, hosts: Sequence[str], tls: Tls | None, *, endpoints: str, timeout_s: float) -> None:
        self._hosts = hosts
        self._tls = tls
        self._credentials = read_credentials(tls) if tls else None
        context = _context(tls) if tls else None
        self._members = [Channel(host, context) for host in hosts]
        self._retired: list[Member] = []
        self._used = random.randrange(len(hosts))
        self._endpoints = endpoints
        self._timeout_s = timeout_s
        self._closed = False
        self.tells_slow = False
        """Whether calls that took long are logged."""
        self._slow_told_at = float("-inf")
        self._slow_untold = 0
        self.on_silence: Callable[[Member], None] = lambda member: None
        """Called with a member that did not answer in time."""

    @property
    def member(self) -> Member:
        """The member in use."""
        return self._members[self._used]

    def leave(self, member: Member) -> None:
        """Use the next member if `member` is the one in use."""
        if member is self.member:
            self._used = (self._used + 1) % len(self._members)

    def renew(self) -> None:
        """Connect anew from now on if the certificates on disk are others than those in use.

        What is under way stays where it is: a connection outlives the certificate it was opened with.
        """
        if self._tls is None or self._closed:
            return
        try:
            found = read_credentials(self._tls)
            if found == self._credentials or has_ended(found.cert.decode("ascii", "replace")):
                return  # an ended one opens nothing
            context = _context(self._tls)
        except InvalidInput as error:  # half of them written, perhaps: those in use stay
            _log.debug("certificates cannot be read", reason=str(error))
            return
        self._credentials = found
        self._retired.extend(self._members)
        self._members = [Channel(host, context) for host in self._hosts]
        _log.info("certificates renewed", files=str(self._tls.cert))

    async def close_retired(self, in_use: Collection[Member]) -> None:
        """Close connections of before the last renewal, except those `in_use`."""
        retired, self._retired = self._retired, [each for each in self._retired if each in in_use]
        for member in retired:
            if member not in in_use:
                await member.close(grace_s=_RETIRED_S)

    async def call(
        self,
        method: Method,
        request: Any,
        *,
        what: str,
        timeout_s: float | None = None,
        doubt: Doubt | None = None,
    ) -> Any:
        """Call `method` until it answers or `timeout_s` has passed; `what` begins the error: "cannot get '/a'"."""
        loop = asyncio.get_running_loop()
        timeout_s = timeout_s or self._timeout_s
        began = loop.time()
        end = began + timeout_s
        pause_s = _FIRST_PAUSE_S
        attempt_s = timeout_s * _FIRST_ATTEMPT
        failures: list[str] = []
        while True:
            member, sent_at = self.member, loop.time()
            try:
                self.raise_if_closed()
                answer = await member.call(method, request, timeout_s=min(attempt_s, end - loop.time()))
                if (took_s := loop.time() - began) > max(_SLOW_S, timeout_s * _FIRST_ATTEMPT):
                    self._tell_slow(what, took_s, member, failures)
                return answer  # noqa: TRY300 - what follows an error is another attempt
            except RpcError as error:
                self.raise_if_closed()
                said = error.details or error.code.name
                failures.append(f"{member.host}: {said} ({loop.time() - sent_at:.1f} s)")
                passing = error.details in _PASSING
                if error.code not in _RETRIED and not passing:
                    raise self.translated(error, what) from error
                if not passing:
                    self.failed(member, error)
                if doubt and not passing and error.sent and not error.details.startswith(_NOT_TAKEN):
                    doubt.applied = True
                if loop.time() + 2 * pause_s >= end:  # no time for another attempt that could tell more
                    raise self.translated(error, what) from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            attempt_s *= 2

    async def open(self, member: Member, method: Method, request: Any) -> Call:
        """Begin a call that goes on, at `member`. Raises RpcError, as reading it does."""
        self.raise_if_closed()
        return await member.open(method, request)

    def failed(self, member: Member, error: RpcError) -> None:
        """Leave a member on which a call failed with `error`, and spread the word if it kept silent."""
        self.leave(member)
        self.renew()
        if error.code is Status.DEADLINE_EXCEEDED:
            self.on_silence(member)

    def _tell_slow(self, what: str, took_s: float, member: Member, failures: Sequence[str]) -> None:
        if not self.tells_slow:
            return
        now = asyncio.get_running_loop().time()
        if now - self._slow_told_at < _SLOW_AGAIN_S:
            self._slow_untold += 1
            return
        _log.warning(
            "slow store call",
            call=what.removeprefix("cannot "),
            took_s=round(took_s, 2),
            member=member.host,
            failures=list(failures),
            others=self._slow_untold,
        )
        self._slow_told_at, self._slow_untold = now, 0

    def raise_if_closed(self) -> None:
        """Raise Unavailable after `aclose`."""
        if self._closed:
            raise Unavailable("cannot use the store: this connection was closed")

    def translated(self, error: RpcError, what: str) -> InaeticsError:
        """Say in our words what etcd said, or why it said nothing."""
        said = (error.details or error.code.name).removeprefix("etcdserver: ")
        match error.code:
            case Status.NOT_FOUND if "lease" in said:
                return LeaseLost(f"{what}: its lease ended ({said})")
            case Status.OUT_OF_RANGE:
                return NotFound(f"{what}: etcd does not know that revision: {said}")
            case Status.INVALID_ARGUMENT:
                return InvalidInput(f"{what}: etcd refuses it: {said}")
            case Status.PERMISSION_DENIED | Status.UNAUTHENTICATED:
                who = common_name(self._credentials.cert) if self._credentials else "none"
                return InvalidInput(f"{what}: the certificate {who!r} has no right to that ({said})")
            case Status.RESOURCE_EXHAUSTED if "space exceeded" in said:
                return Unavailable(
                    f"{what}: the store is full, etcd at {self._endpoints} takes only deletions ({said}); what runs"
                    " goes on, nothing can be changed (make room: inaetics etcd defragment)"
                )
            case Status.RESOURCE_EXHAUSTED:
                return Unavailable(f"{what}: etcd at {self._endpoints} is overloaded: {said}")
            case _:
                pass
        return Unavailable(
            f"{what}: the store does not answer at {self._endpoints}: {said} "
            "(is etcd running there, and can it be reached from here?)"
        )

    async def aclose(self) -> None:
        self._closed = True
        for member in (*self._members, *self._retired):
            await member.close()


def open_wire(hosts: Sequence[str], tls: Tls | None, *, endpoints: str, timeout_s: float) -> Wire:
    """Open channels to `hosts` (`address:port`). Reads the certificates; connecting is the first call's affair."""
    return Wire(hosts, tls, endpoints=endpoints, timeout_s=timeout_s)


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(tls.ca)
        context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:  # of TLS, too
        raise InvalidInput(f"cannot connect to the store: {tls.cert} (CA {tls.ca}) cannot be used: {error}") from error
    return context
