"""Keeping the host's registry equal to the others': one thread for each of them, asleep until that one has news.

A thread asks its peer for the ledger and says which one it knows; the peer answers as soon as it has another one. So
an idle cluster exchanges one small request a peer in five minutes, and a push is noticed at once. What a ledger says
and this host lacks is copied, one manifest at a time on the whole host. After a failure the whole ledger is asked for
again: nothing has to be remembered of what was missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from inaetics.containers.daemon_log import log
from inaetics.containers.replicate_copy import Lie, copy_manifest
from inaetics.containers.replicate_files import RegistryFiles
from inaetics.containers.replicate_http import Own, Peer
from inaetics.containers.replicate_ledger import LedgerFile, from_wire
from inaetics.containers.replicate_plan import Action, Adopt, Entry, Key, Renew, is_digest, later, plan
from inaetics.containers.replicate_room import nearly_full
from inaetics.errors import InaeticsError, Unavailable

LEDGER = "/inaetics/ledger"
FROM = "X-Inaetics-Registry"
"""A registry that asks says its address: so one that comes back is noticed by those that wait for it."""

HELD_S = 300.0
"""How long a request for news is held. As often, what is here is compared with what should be."""

SLACK_S = 10.0
FIRST_S, SILENT_S, REFUSED_S = 0.5, 15.0, 60.0
"""Between two attempts: the first pause, the longest while a peer does not answer, the longest after other failures."""

DISTRUST_S = 600.0
"""For how long nothing is copied from a registry that gave false content."""


@dataclass(slots=True, kw_only=True)
class Following:
    """How it stands with one peer."""

    peer: Peer
    answers: bool = False
    missing: int = 0
    """How many of its references this host still lacks."""
    trouble: str = ""
    distrusted_until: float = 0.0
    known: Mapping[Key, Entry] = field(default_factory=dict)
    """Its ledger, as it said last."""
    wake: threading.Event = field(default_factory=threading.Event)

    def view(self) -> dict[str, Any]:
        """For people and scripts."""
        found = {"address": self.peer.name, "answers": self.answers, "missing": self.missing}
        return found | ({"trouble": self.trouble} if self.trouble else {})


class Replicator:
    """Follows `peers` and brings what they have into the registry `own`, whose ledger and files these are."""

    def __init__(
        self,
        *,
        own: Own,
        ledger: LedgerFile,
        files: RegistryFiles,
        peers: Sequence[Peer],
        address: str,
        writing: threading.RLock,
    ) -> None:
        self._own, self._ledger, self._files, self._address = own, ledger, files, address
        self._following = [Following(peer=peer) for peer in peers]
        self._writing = writing
        """Held while a manifest is written: a push through the gate takes it too."""
        self._copying = threading.Lock()
        self._reconciled = time.monotonic()

    def start(self) -> None:
        """Begin; the threads end with the process."""
        for each in self._following:
            threading.Thread(target=self._follow, args=(each,), name=f"follow {each.peer.name}", daemon=True).start()

    def nudge(self, address: str) -> None:
        """The registry at `address` has just spoken to us: if we wait before asking it again, wait no longer."""
        for each in self._following:
            if each.peer.name == address and not each.answers:
                each.wake.set()

    def view(self) -> list[dict[str, Any]]:
        """How it stands with every peer."""
        return [each.view() for each in self._following]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Copy nothing within the block; what is under way is finished first."""
        with self._copying:
            yield

    def _follow(self, following: Following) -> None:
        token, pause = "", FIRST_S
        while True:
            try:
                token = self._once(following, token)
                pause = FIRST_S
            except (InaeticsError, OSError, ValueError) as error:
                token = ""
                self._failed(following, error)
                following.wake.wait(pause)
                following.wake.clear()
                pause = min(2 * pause, SILENT_S if isinstance(error, Unavailable) else REFUSED_S)

    def _once(self, following: Following, token: str) -> str:
        """Ask for news, wait until there are some, and bring them here; returns the token to go on with."""
        left = following.distrusted_until - time.monotonic()
        if left > 0:
            following.wake.wait(left)
            following.wake.clear()
        path = f"{LEDGER}?after={token}&wait={HELD_S if token else 0:.0f}"
        headers = {FROM: self._address}
        found = following.peer.json(path, headers=headers, timeout_s=(HELD_S if token else 0) + SLACK_S)
        if "entries" in found:
            following.known = from_wire(found["entries"])
        if not following.answers:
            following.answers = True
            log("registry followed", peer=following.peer.name, references=len(following.known))
        self._look_again()
        self._catch_up(following)
        following.trouble = ""
        return str(found["token"])

    def _look_again(self) -> None:
        """Now and then, have the ledger agree with what is really here; what is gone is copied anew."""
        with self._copying:
            if time.monotonic() - self._reconciled < HELD_S:
                return
            self._reconciled = time.monotonic()
            if words := nearly_full(self._files.root):
                log("disk nearly full", level="warning", found=words, help="inaetics image prune --registry")
            if wrong := self._ledger.reconcile():
                log("files differ from the ledger", level="warning", references=wrong)

    def _catch_up(self, following: Following) -> None:
        """Do all that can be done; raises the first failure at the end, and a lie at once."""
        theirs = following.known
        failure: InaeticsError | None = None
        following.missing = len(plan(self._ledger.entries(), theirs))
        if not following.missing:
            return
        with self._copying:
            actions = plan(self._ledger.entries(), theirs)
            following.missing = len(actions)
            for action in actions:
                try:
                    self._do(following, action)
                    following.missing -= 1
                except (Lie, Unavailable):
                    raise
                except InaeticsError as error:
                    failure = failure or error
        if failure is not None:
            raise failure

    def _do(self, following: Following, action: Action) -> None:
        match action:
            case Renew(key=key, after=after):
                self._ledger.renew(key, after)
            case Adopt(key=(repository, reference) as key, entry=entry):
                if entry.digest:
                    self._bring(following, repository, reference, entry)
                else:
                    self._remove(key, entry)

    def _bring(self, following: Following, repository: str, reference: str, entry: Entry) -> None:
        key = (repository, reference)
        if is_digest(reference):
            began, fetched = time.monotonic(), 0
            if not self._files.has_manifest(repository, reference):
                fetched = copy_manifest(following.peer, self._own, self._files, repository, reference)
            with self._writing:
                self._adopt(key, entry)
            seconds = round(time.monotonic() - began, 3)
            peer = following.peer.name
            log("manifest copied", repository=repository, digest=reference, peer=peer, bytes=fetched, seconds=seconds)
            return
        with self._writing:
            if later(self._ledger.entries().get(key), entry):
                content, media_type = self._own.manifest(repository, entry.digest)
                self._own.put_manifest(repository, reference, content, media_type)
                self._adopt(key, entry)
                log("tag taken over", repository=repository, tag=reference, digest=entry.digest)

    def _remove(self, key: Key, entry: Entry) -> None:
        repository, reference = key
        with self._writing:
            if not later(self._ledger.entries().get(key), entry):
                return
            if is_digest(reference):
                self._own.remove_manifest(repository, reference)
            else:
                self._files.remove_tag(repository, reference)
            self._adopt(key, entry)
        log("reference removed", repository=repository, reference=reference)

    def _adopt(self, key: Key, entry: Entry) -> None:
        if later(self._ledger.entries().get(key), entry):
            self._ledger.adopt(key, entry)

    def _failed(self, following: Following, error: Exception) -> None:
        words = str(error)
        if isinstance(error, Lie):
            following.distrusted_until = time.monotonic() + DISTRUST_S
        if isinstance(error, Unavailable):
            following.answers = False
        before, following.trouble = following.trouble, words
        if words != before:
            log("registry not followed", level="warning", peer=following.peer.name, reason=words)
