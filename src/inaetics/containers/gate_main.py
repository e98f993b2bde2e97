"""The registry's gate and replicator as a daemon: `python -m inaetics.containers.gate_main`.

One process for both: it knows of every push at once, and an idle one costs as little as there is to have (no asyncio,
no library but Python's own).
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from inaetics.containers.daemon_log import log
from inaetics.containers.gate import Asked, Doors, Gate, Refusal
from inaetics.containers.gate_collect import Order, Pushes, collect, names
from inaetics.containers.gate_identity import Identity, authority_names
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.containers.replicate_follow import FROM, HELD_S, LEDGER, Replicator
from inaetics.containers.replicate_http import Own, Peer
from inaetics.containers.replicate_ledger import LedgerFile, to_wire
from inaetics.containers.replicate_plan import is_digest
from inaetics.containers.replicate_room import free_bytes
from inaetics.errors import Conflict, InaeticsError, InvalidInput
from inaetics.notify import notify
from inaetics.tls import server_context

STATE, COLLECT = "/inaetics/state", "/inaetics/collect"
MOST_HELD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the host's environment tells the gate."""

    host: str
    address: str
    peers: tuple[str, ...]
    """The other registries' addresses (host:port)."""
    pushers: frozenset[str]
    """The common names that may push, if the cluster's own authority signed them."""
    state: Path
    run: Path
    pki: Path

    @property
    def root(self) -> Path:
        """What docker-registry keeps."""
        return self.state / "registry"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the `INAETICS_*` variables; raises `InvalidInput` that names a missing one."""
    try:
        host = environment["INAETICS_ADDRESS"]
        registries = [each for each in environment["INAETICS_REGISTRIES"].split(",") if each]
        address = next((each for each in registries if each.rpartition(":")[0] == host), "")
        if not address:
            raise InvalidInput(f"cannot serve images: {host} is not among INAETICS_REGISTRIES ({registries})")
        return Settings(
            host=environment["INAETICS_HOST"],
            address=address,
            peers=tuple(each for each in registries if each != address),
            pushers=frozenset(environment["INAETICS_PUSHERS"].split(",")),
            state=Path(environment["INAETICS_STATE"]),
            run=Path(environment["INAETICS_RUN"]),
            pki=Path(environment["INAETICS_PKI"]),
        )
    except KeyError as error:
        raise InvalidInput(f"cannot serve images: {error.args[0]} is not set (a host's system unit sets it)") from None


class Service:
    """The gate with all that stands behind it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._files = RegistryFiles(settings.root)
        self._own = Own(settings.run / "registry.sock", self._files)
        self._ledger = LedgerFile(settings.root / "ledger.json", self._files, settings.host)
        self._writing = threading.RLock()
        self._pushes = Pushes()
        self._held = threading.BoundedSemaphore(MOST_HELD)
        self._ours = authority_names(settings.pki / "ca.pem")
        self._replicator = Replicator(
            own=self._own,
            ledger=self._ledger,
            files=self._files,
            peers=[Peer(each, settings.pki / "registry-client") for each in settings.peers],
            address=settings.address,
            writing=self._writing,
        )

    def serve(self) -> None:
        """Serve until the process is asked to end."""
        if wrong := self._ledger.reconcile():
            log("ledger agrees with the files again", references=wrong)
        pki, settings = self._settings.pki, self._settings
        certificate, key, clients = pki / "registry.pem", pki / "registry.key", pki / "registry-clients.pem"
        context = server_context(ca=clients, cert=certificate, key=key, whose="the registry's", log=log)
        doors = Doors(
            own=self._own,
            root=settings.root,
            may_push=self._may_push,
            answer=self._answer,
            pushed=self._pushed,
            removed=self._removed,
            writing=self._writing,
            activity=self._pushes.active,
        )
        host, _, port = settings.address.rpartition(":")
        gate = Gate((host, int(port)), context, doors)
        signal.signal(signal.SIGTERM, _end)  # what is under way is cut off: whoever pulls goes on elsewhere
        self._replicator.start()
        gc.freeze()
        log("registry open", address=settings.address, references=len(self._ledger.entries()))
        notify("READY=1", f"STATUS=serving images at {settings.address}")
        gate.serve_forever(poll_interval=3600)

    def _may_push(self, who: Identity) -> bool:
        return who.name in self._settings.pushers and who.issuer in self._ours

    def _pushed(self, repository: str, reference: str, digest: str, who: Identity) -> None:
        references = {(repository, digest): digest, (repository, reference): digest}
        self._ledger.record(*references.items())
        log("image pushed", repository=repository, reference=reference, digest=digest, by=who.name)

    def _removed(self, repository: str, reference: str, who: Identity) -> bool:
        """Remove a tag here; for a manifest write down only, the registry does the rest."""
        entries = self._ledger.entries()
        if is_digest(reference):
            self._ledger.record(*((key, "") for key in names(entries, repository, reference)))
        else:
            self._files.remove_tag(repository, reference)
            self._ledger.record(((repository, reference), ""))
        log("image removed", repository=repository, reference=reference, by=who.name)
        return not is_digest(reference)

    # ---- what is asked of the gate itself

    def _answer(self, asked: Asked) -> Any:
        match asked.method, asked.path:
            case "GET", path if path == LEDGER:
                return self._ledger_for(asked)
            case "GET", path if path == STATE:
                return self._state()
            case "POST", path if path == COLLECT:
                return self._collect(asked)
            case _:
                raise Refusal(HTTPStatus.NOT_FOUND, "UNSUPPORTED", f"there is no {asked.method} {asked.path}")

    def _ledger_for(self, asked: Asked) -> Any:
        if address := asked.headers.get(FROM):
            self._replicator.nudge(address)
        known = asked.query.get("after", "")
        token = self._ledger.token
        if token == known and self._held.acquire(blocking=False):
            try:
                token = self._ledger.wait(known, min(_number(asked.query.get("wait", "0")), HELD_S))
            finally:
                self._held.release()
        if token == known:
            return {"token": token}
        # The token is older than the entries or as old as they are, never newer: nothing can be missed.
        return {"token": token, "entries": to_wire(self._ledger.entries())}

    def _state(self) -> Any:
        free, total = free_bytes(self._settings.root)
        entries = self._ledger.entries()
        return {
            "host": self._settings.host,
            "address": self._settings.address,
            "tags": sum(1 for (_, name), entry in entries.items() if entry.digest and not is_digest(name)),
            "manifests": sum(1 for (_, name), entry in entries.items() if entry.digest and is_digest(name)),
            "bytes": self._files.size(),
            "disk": {"free": free, "total": total},
            "peers": self._replicator.view(),
        }

    def _collect(self, asked: Asked) -> Any:
        if not self._may_push(asked.who):
            raise Refusal(
                HTTPStatus.FORBIDDEN, "DENIED", f"certificate {asked.who.name!r} may not collect garbage here"
            )
        order = _order(asked.content)
        try:
            self._pushes.close()
        except Conflict as error:
            raise Refusal(HTTPStatus.CONFLICT, "TOOMANYREQUESTS", str(error)) from error
        try:
            with self._replicator.paused(), self._writing:
                return collect(self._own, self._ledger, self._files, self._settings.state / "registry.yml", order)
        finally:
            self._pushes.open()


def _order(content: bytes) -> Order:
    try:
        given = json.loads(content)
        keep, older, dry, archives = (
            given["keep"],
            float(given["older_than_s"]),
            given["dry_run"],
            given.get("archives"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        keep, older, dry, archives = None, 0.0, None, None
    if not isinstance(keep, list) or not isinstance(dry, bool) or not isinstance(archives, list | None):
        raise InvalidInput(
            "give keep (a list of digests), older_than_s (seconds), dry_run (true or false) and, for bundles to be"
            " collected too, archives (a list of digests)"
        )
    known = None if archives is None else frozenset(map(str, archives))
    return Order(keep=frozenset(map(str, keep)), older_than_s=older, dry_run=dry, archives=known)


def _number(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        raise InvalidInput(f"{text!r} is no number of seconds") from None


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def main() -> int:
    try:
        Service(settings_from(os.environ)).serve()
    except (InaeticsError, OSError) as error:
        log("cannot serve images", level="error", reason=str(error))
        return error.exit_code if isinstance(error, InaeticsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
