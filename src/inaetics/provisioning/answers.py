"""What a provisioning server answers, as values: the ports for agents and for people only carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from inaetics.bundles.exchange import Report
from inaetics.bundles.given import Pinned
from inaetics.bundles.records import check_target
from inaetics.errors import Conflict, InaeticsError, InvalidInput, NotFound
from inaetics.provisioning.desk import Contact, Desk
from inaetics.provisioning.stager import Stager

MAX_WAIT_S = 60.0
MAX_REPORT = 256 * 1024
_STATUS: dict[type[InaeticsError], int] = {InvalidInput: 400, NotFound: 404, Conflict: 409}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status with its body; 304 and 204 have none."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"


class Answers:
    """Deployments, archives and reports. Methods raise `InaeticsError`; `refusal` makes an answer of one."""

    def __init__(self, desk: Desk, stager: Stager) -> None:
        self._desk = desk
        self._stager = stager

    def deployment(self, target: str, query: Mapping[str, str], *, where: str) -> Answer:
        """What `target` shall run, held until it is another than the query's `after`, at most `wait_s`."""
        contact = Contact(
            target=check_target(target),
            where=query.get("where", where)[:100],
            running=query.get("running", "")[:100],
            error=query.get("error", "")[:1000],
            at=0.0,
        )
        found = self._desk.ask(contact, after=query.get("after", ""), wait_s=seconds(query))
        return Answer(status=304) if found is None else Answer(body=msgspec.json.encode(found))

    def bundle(self, name: str, version: str, query: Mapping[str, str]) -> Answer:
        """The archive of one version of a bundle: the one with the query's `sha256`, else the newest."""
        known, sha256 = self._desk.known, query.get("sha256")
        newest = known.newest.get((name, version))
        if newest is None:
            raise NotFound(f"there is no bundle {name} {version}")
        artifact = known.find(Pinned(name=name, version=version, sha256=sha256)) if sha256 else newest
        path = self._stager.archive(artifact).path
        try:
            return Answer(body=path.read_bytes(), kind="application/zip")
        except OSError as error:
            raise NotFound(f"cannot read bundle {name} {version}: {error.strerror or error}") from error

    def report(self, target: str, body: bytes, *, where: str) -> Answer:
        """Take down what became of a deployment at `target`."""
        try:
            report = msgspec.json.decode(body, type=Report)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"cannot read the report of {target!r}: {error}") from error
        self._desk.report(check_target(target), report, where=where[:100])
        return Answer(status=204)


def refusal(error: InaeticsError) -> Answer:
    """The error as JSON: ``{"error": {"message": …}}``."""
    status = next((number for kind, number in _STATUS.items() if isinstance(error, kind)), 503)
    return Answer(status=status, body=msgspec.json.encode({"error": {"message": str(error)}}))


def seconds(query: Mapping[str, str], name: str = "wait_s") -> float:
    """A time of the query, within bounds; 0 when it says none."""
    text = query.get(name, "0")
    try:
        found = float(text)
    except ValueError as error:
        raise InvalidInput(f"{name} is {text!r}: it must be seconds") from error
    return min(max(found, 0.0), MAX_WAIT_S) if found == found else 0.0
