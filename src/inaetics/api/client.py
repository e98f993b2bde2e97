"""The fleet API's client: synchronous, small, quick to import.

Promises: what the API refuses is raised as the error it meant (`NotFound`, `Conflict`, …) with its words; an API that
does not answer is `Unavailable`. With several endpoints the first that answers is used, and another one when it dies.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from inaetics.api.batching import batch_bodies
from inaetics.api.connection import open_connection
from inaetics.api.endpoint import ClientTls
from inaetics.api.replies_read import error_of
from inaetics.api.wire import (
    STALE_HEADER,
    BatchEntry,
    BatchReport,
    BatchResult,
    Changes,
    ExplainReport,
    Health,
    MachineEntry,
    MachineList,
    Restarted,
    StateList,
    UnitChange,
    UnitDetail,
    UnitList,
    Written,
)
from inaetics.errors import Unavailable

if TYPE_CHECKING:
    from inaetics.api.tunnel import Tunnel

Entity = TypeVar("Entity")


class FleetClient:
    """Speaks to the fleet API at `endpoint`, or at the first of several that answers; as seen from the other end of
    the `tunnel`, where there is one.

    `stale` is None, or why the last answer may be out of date.
    """

    def __init__(
        self,
        endpoint: str | Sequence[str],
        tls: ClientTls | None = None,
        *,
        timeout_s: float = 10.0,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.endpoints = (endpoint,) if isinstance(endpoint, str) else tuple(endpoint)
        self._order = list(self.endpoints)  # the one in use, or to be tried next, first
        self.stale: str | None = None
        self._tls = tls
        self._tunnel = tunnel
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one. The next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def health(self) -> Health:
        """How the API is: whether the store answers it, and who leads."""
        return self._get("/inaetics/v1/health", Health)

    def machines(self) -> tuple[MachineEntry, ...]:
        """Every live machine, by name."""
        return self._get("/inaetics/v1/machines", MachineList).machines

    def units(self, *, after: int | None = None, wait_s: float = 0.0) -> UnitList:
        """Every submitted unit, by name; with `after`, wait up to `wait_s` for something newer than that revision."""
        return self._held("/inaetics/v1/units", UnitList, after, wait_s)

    def unit(self, name: str) -> UnitDetail:
        """One unit with its file; raises `NotFound`."""
        return self._get(_path("units", name), UnitDetail)

    def states(self, *, after: int | None = None, wait_s: float = 0.0) -> StateList:
        """What every machine reports of its units, and which units wait; held as `units`."""
        return self._held("/inaetics/v1/states", StateList, after, wait_s)

    def changes(self, names: Sequence[str] = (), *, after: int | None = None, wait_s: float = 0.0) -> Changes:
        """What is known of the units `names` (none: of all); with `after`, of those heard of since that revision.

        Then it waits up to `wait_s` for there to be one.
        """
        query: list[tuple[str, object]] = [("unit", name) for name in names]
        if after is not None:
            query += [("after", after), ("wait_s", wait_s)]
        return self._get(f"/inaetics/v1/changes?{urlencode(query)}", Changes, wait_s=wait_s)

    def explain(self, name: str) -> ExplainReport:
        """Why the unit is where it is, or waits; raises `NotFound`."""
        return self._get(_path("explain", name), ExplainReport)

    def submit(self, name: str, text: str, *, desired: str | None = None, replace: bool = False) -> int:
        """Store a unit file under `name`, and what is wanted of it; returns the revision.

        The same file again changes nothing. Raises `InvalidInput` naming line and directive, `Conflict` when another
        file has the name and `replace` is not set.
        """
        return self._change(name, UnitChange(text=text, desired=desired, replace=replace))

    def set_desired(self, name: str, desired: str) -> int:
        """Say what is wanted of a submitted unit; returns the revision. Raises `NotFound`."""
        return self._change(name, UnitChange(desired=desired))

    def destroy(self, name: str) -> int:
        """Stop the unit wherever it runs and forget it; returns the revision. Raises `NotFound`."""
        return self._decode(self._request("DELETE", _path("units", name)), Written).revision

    def submit_many(self, entries: Sequence[BatchEntry]) -> tuple[BatchResult, ...]:
        """Do what every entry asks, in as few requests as fit; returns what became of each, in their order.

        All entries of a request are checked before anything is written (a thousand instances of a template are one
        request); what is wrong is raised as by `submit`, and a result's `error` says what somebody else prevented.
        """
        once = any(entry.destroy for entry in entries)
        results: list[BatchResult] = []
        for body in batch_bodies(entries):
            answer = self._request("PUT", "/inaetics/v1/units", body, once=once)
            results += self._decode(answer, BatchReport).units
        return tuple(results)

    def restart(self, name: str, *, machine: str | None = None) -> Restarted:
        """Have the machine stop and start the unit; `machine` chooses one where it is on several.

        Returns at once: it is done when the unit's `since` is younger than the answer's. Raises `NotFound`.
        """
        query = f"?{urlencode({'machine': machine})}" if machine else ""
        body = self._request("POST", f"{_path('units', name)}/restart{query}", once=True)
        return self._decode(body, Restarted)

    def journal(self, name: str, *, lines: int = 10, follow: bool = False, machine: str | None = None) -> Iterator[str]:
        """Yield the last lines of the unit's journal from the machine it is on; with `follow` also what comes.

        `machine` (a name, or the beginning of an id) chooses one where the unit is on several.
        """
        query = urlencode({"lines": lines, "follow": int(follow), **({"machine": machine} if machine else {})})
        with self._open() as client:
            try:
                response = client._send("GET", f"{_path('journal', name)}?{query}", None, client._connect())
            except (OSError, http.client.HTTPException) as error:
                raise self._gone(error) from error
            if follow and client._connection is not None and client._connection.sock is not None:
                client._connection.sock.settimeout(None)
            yield from _lines(response)

    def get_as(self, path: str, kind: type[Entity], *, wait_s: float = 0.0) -> Entity:
        """Get any resource, held for up to `wait_s`; the modules beside this one know its path and its kind."""
        return self._get(path, kind, wait_s=wait_s)

    def send_as(self, method: str, path: str, body: object, kind: type[Entity]) -> Entity:
        """Ask for a change of any resource; the modules beside this one know its path, its body and the answer."""
        sent = None if body is None else msgspec.json.encode(body)
        return self._decode(self._request(method, path, sent), kind)

    def lines(self, path: str, headers: Mapping[str, str], *, silence_s: float) -> Iterator[str]:
        """Yield the lines of a resource that goes on, over a connection of its own.

        Raises `Unavailable` when it breaks off, or says nothing for `silence_s`.
        """
        with self._open() as client:
            connection = client._connect()
            try:
                connection.request("GET", path, headers=dict(headers))
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._gone(error) from error
            if response.status >= 400:
                raise error_of(response.status, response.reason, response.read())
            if connection.sock is not None:
                connection.sock.settimeout(silence_s)
            yield from _lines(response)

    def turned(self) -> FleetClient:
        """A client of the same fleet that asks the next endpoint first."""
        turned = (*self.endpoints[1:], *self.endpoints[:1])
        return FleetClient(turned, self._tls, timeout_s=self._timeout_s, tunnel=self._tunnel)

    def _change(self, name: str, change: UnitChange) -> int:
        body = self._request("PUT", _path("units", name), msgspec.json.encode(change))
        return self._decode(body, Written).revision

    def _get(self, path: str, kind: type[Entity], *, wait_s: float = 0.0) -> Entity:
        return self._decode(self._request("GET", path, wait_s=wait_s), kind)

    def _held(self, path: str, kind: type[Entity], after: int | None, wait_s: float) -> Entity:
        if after is None:
            return self._get(path, kind)
        return self._get(f"{path}?{urlencode({'after': after, 'wait_s': wait_s})}", kind, wait_s=wait_s)

    def _decode(self, body: bytes, kind: type[Entity]) -> Entity:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise Unavailable(f"the API at {self._where()} answered what this client cannot read: {error}") from error

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        wait_s: float = 0.0,
        media_type: str = "application/json",
        once: bool = False,
    ) -> bytes:
        """Send a request and return the answer's body; when an API dies over it, ask the next one.

        A DELETE, and what is to be sent `once`, is not sent again: it may have been done, and then a second one would
        say that nothing was there.
        """
        dropped = int(self._connection is not None)  # an idle connection may have been closed meanwhile
        left = len(self.endpoints) + dropped if method != "DELETE" and not once else 1
        while True:
            connection = self._connect()
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout_s + wait_s)
            try:
                return self._send(method, path, body, connection, media_type).read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self._order = [*self._order[1:], self._order[0]]
                left -= 1
                if left == 0:
                    raise self._gone(error) from error

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        connection: http.client.HTTPConnection,
        media_type: str = "application/json",
    ) -> http.client.HTTPResponse:
        headers = {"Content-Type": media_type} if body is not None else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        if not {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}:
            raise http.client.IncompleteRead(b"")  # it died over the head; http.client takes that for the head's end
        self.stale = response.headers.get(STALE_HEADER)
        if response.status >= 400:
            raise error_of(response.status, response.reason, response.read())
        return response

    def _open(self) -> FleetClient:
        return FleetClient(self._order, self._tls, timeout_s=self._timeout_s, tunnel=self._tunnel)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is not None:
            return self._connection
        failures: list[OSError] = []
        for endpoint in tuple(self._order):
            try:
                self._connection = open_connection(endpoint, self._tls, timeout_s=self._timeout_s, tunnel=self._tunnel)
            except OSError as error:
                failures.append(error)
                self._order = [*self._order[1:], self._order[0]]
            else:
                return self._connection
        raise self._gone(failures[-1] if failures else OSError("no endpoint is known"))

    def _gone(self, error: Exception) -> Unavailable:
        help = "is the cluster up? see: inaetics status; start it: inaetics up"
        if isinstance(error, PermissionError):
            help = (
                "a socket is for the user who runs the cluster; others: --endpoint https://ADDRESS, with a certificate"
            )
        return Unavailable(f"no fleet API answers at {self._where()}: {_why(error)} ({help})")

    def _where(self) -> str:
        where = ", ".join(dict.fromkeys(self.endpoints)) or "any endpoint"
        return where if self._tunnel is None else f"{where} through {self._tunnel.host.name}"


def _path(kind: str, name: str) -> str:
    return f"/inaetics/v1/{kind}/{quote(name, safe='@')}"


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _lines(response: http.client.HTTPResponse) -> Iterator[str]:
    try:
        while line := response.readline():
            yield line.decode(errors="replace").rstrip("\n")
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"what was followed broke off: {_why(error)}") from error
    if response.length:
        raise Unavailable("what was followed broke off: the API closed the connection")
