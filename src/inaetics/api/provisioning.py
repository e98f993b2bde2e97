"""Changes of provisioning: artifacts and versions of the mapping, each one transaction that fails when it came second.

Everything is read when it is asked for and nothing is kept, so any API of the cluster may be asked. Nothing is put in
force that no agent could follow: a mapping is checked against the bundles there are, signatures against the cluster's
authority, and archives are looked for in the registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from inaetics.api.provisioning_archives import Archives, Unchecked
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.changes import Change, changes
from inaetics.bundles.given import Pinned, given, read_version, used
from inaetics.bundles.manifest import read_manifest
from inaetics.bundles.records import (
    ARTIFACTS,
    CURRENT,
    KEPT_VERSIONS,
    MAX_RECORD,
    REPLACED,
    STANDINGS,
    TRIAL,
    VERSIONS,
    Artifact,
    Entry,
    Held,
    Standing,
    Trial,
    Undone,
    Version,
    artifact_key,
    check_target,
    log_prefix,
    replaced_key,
    version_key,
)
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve, resolved, with_newest
from inaetics.bundles.signature import verify
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.store.protocol import MAX_GUARDS, MAX_OPS, Delete, KeyValue, ModIs, Op, Put, Store

log = structlog.get_logger()

Record = TypeVar("Record", Standing, Entry)

NOTHING = "there is no version yet (apply a mapping: inaetics deploy apply FILE)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is in etcd at one moment. `revisions` are of the artifacts' keys and of the version in force."""

    version: Version | None
    repository: Repository
    revisions: dict[str, int]

    @property
    def number(self) -> int:
        return self.version.version if self.version else 0

    def resolved(self, version: Version) -> Version:
        """`version` with what its rules give. Raises `InvalidInput` where older software made it and it is wrong."""
        return resolved(version, self.repository)

    def key_of(self, pinned: Pinned) -> str:
        """Where the record of an archive is; raises `NotFound` when it is not kept."""
        artifact = self.repository.find(pinned)
        newest = self.repository.newest.get((artifact.name, artifact.version))
        return artifact_key(artifact.name, artifact.version) if artifact is newest else replaced_key(artifact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A version, and what it changes where; and for how long it may be taken back."""

    version: Version
    before: int
    changes: tuple[Change, ...]
    rules: int
    trial: Trial | None = None


class Provisioning:
    """See the module. `anchors` says whose signatures count; without it unsigned bundles are taken."""

    def __init__(
        self,
        store: Store,
        *,
        archives: Archives | None = None,
        anchors: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._archives = archives or Unchecked()
        self._anchors = anchors
        self._clock = clock

    async def known(self) -> Known:
        """Read what is there."""
        listing, replaced = await self._store.list(ARTIFACTS), await self._store.list(REPLACED)
        current = await self._store.get(CURRENT)
        revisions = {item.key: item.mod_revision for item in (*listing.items, *replaced.items)}
        revisions[CURRENT] = current.mod_revision if current else 0
        return Known(
            version=read_version(current.value) if current else None,
            repository=Repository.of(*([_artifact(item) for item in found.items] for found in (listing, replaced))),
            revisions=revisions,
        )

    async def put_artifact(self, artifact: Artifact, *, replace_it: bool = False) -> bool:
        """Make a bundle's archive known that is in the registry already; returns whether that changed anything.

        The one it takes the place of is kept, for versions that name it.

        Raises `InvalidInput` for a manifest or signature that does not count, and `Conflict` when this version has
        another archive, unless it is to be replaced.
        """
        read_manifest(msgspec.json.encode(artifact.manifest), source=f"bundle {artifact.name!r}")
        if self._anchors is not None:
            _check_signature(artifact, self._anchors)
        await self._archives.check([artifact])
        key = artifact_key(artifact.name, artifact.version)
        item = await self._store.get(key)
        before = _artifact(item) if item else None
        if before is not None and before.sha256 != artifact.sha256 and not replace_it:
            raise Conflict(
                f"bundle {artifact.manifest.key} is there already with another archive (sha256 {before.sha256[:16]}…, "
                f"pushed by {before.by or 'somebody'}): give the new one a new version, or push with --replace"
            )
        if before is not None and before.sha256 == artifact.sha256 and before.signature == artifact.signature:
            return False
        made = msgspec.structs.replace(artifact, at=self._clock())
        guard = ModIs(key=key, revision=item.mod_revision if item else 0)
        ops: list[Op] = [Put(key=key, value=msgspec.json.encode(made))]
        if item is not None and before is not None and before.sha256 != artifact.sha256:
            ops += [Put(key=replaced_key(before), value=item.value), Delete(key=replaced_key(artifact))]
        await self._store.commit(ops, guards=[guard])
        return before is None or before.sha256 != artifact.sha256

    async def sign(self, artifact: Artifact) -> None:
        """Take the signature for an archive that is known, the newest of its version or one that was replaced."""
        if self._anchors is not None:
            _check_signature(artifact, self._anchors)
        key = (await self.known()).key_of(Pinned(name=artifact.name, version=artifact.version, sha256=artifact.sha256))
        item = await self._store.get(key)
        if item is None or _artifact(item).sha256 != artifact.sha256:
            raise Conflict(f"the archives of bundle {artifact.manifest.key} changed meanwhile: sign again")
        signed = msgspec.structs.replace(_artifact(item), signature=artifact.signature)
        guards = [ModIs(key=key, revision=item.mod_revision)]
        await self._store.commit([Put(key=key, value=msgspec.json.encode(signed))], guards=guards)

    async def remove_artifact(self, name: str, version: str) -> None:
        """Forget a version of a bundle that nothing in force, and no version kept, needs; with what it replaced."""
        known = await self.known()
        if (name, version) not in known.repository.newest:
            raise NotFound(f"there is no bundle {name} {version} (what there is: inaetics bundle list)")
        for kept in await self.versions():
            if _names(known, kept, name, version):
                raise Conflict(f"bundle {name}-{version} is part of version {kept.version} of the mapping: it stays")
        guards = [ModIs(key=CURRENT, revision=known.revisions[CURRENT])]
        old = [each for each in known.repository.replaced.values() if (each.name, each.version) == (name, version)]
        keys = [artifact_key(name, version), *(replaced_key(each) for each in old[: MAX_OPS - 1])]
        await self._store.commit([Delete(key=key) for key in keys], guards=guards)

    async def versions(self) -> tuple[Version, ...]:
        """Every version that is kept, the youngest first."""
        listing = await self._store.list(VERSIONS)
        return tuple(read_version(item.value) for item in reversed(listing.items))

    async def version(self, number: int) -> Version:
        """One version; 0 is the one in force. Raises `NotFound`."""
        item = await self._store.get(version_key(number) if number else CURRENT)
        if item is None:
            raise NotFound(
                f"version {number} of the mapping is not kept (the last {KEPT_VERSIONS} are: inaetics deploy history)"
                if number
                else NOTHING
            )
        return read_version(item.value)

    async def standings(self) -> dict[str, Standing]:
        """How every target is that was ever given anything."""
        listing = await self._store.list(STANDINGS)
        return {target: standing for item in listing.items for target, standing in read_standing(item)}

    async def log(self, target: str) -> tuple[Entry, ...]:
        """A target's audit log, the youngest first."""
        listing = await self._store.list(log_prefix(check_target(target)))
        return tuple(entry for item in reversed(listing.items) for entry in _read(item, Entry))

    async def trial(self) -> Trial | None:
        """The trial of the version in force, if it is on one."""
        item = await self._store.get(TRIAL)
        return msgspec.json.decode(item.value, type=Trial) if item else None

    async def change(self, asked: VersionRequest, *, undid: Undone | None = None) -> Made:
        """Make the version that is asked for, or only say what it would be. See `VersionRequest`.

        Raises `InvalidInput` for what cannot be followed, and `Conflict` when somebody else was first.
        """
        known = await self.known()
        if asked.expected is not None and asked.expected != known.number:
            raise self._too_late(known.version, asked.expected)
        wanted = await self._wanted(known, asked)
        if wanted == known.version:
            return Made(version=wanted, before=known.number, changes=(), rules=len(wanted.rules or ()))
        note = f"{wanted.note}: {asked.reason}" if asked.reason else wanted.note
        wanted = msgspec.structs.replace(wanted, note=note, undid=undid)
        before, trial = self._before(known), await self._trial(known, wanted, asked)
        found = changes(before, wanted, tuple(await self.standings()))
        made = Made(version=wanted, before=known.number, changes=found, rules=len(wanted.rules or ()), trial=trial)
        if not asked.plan:
            await self._archives.check(_new_ones(known, before, wanted))
            await self._commit(known, wanted, trial)
        return made

    async def _trial(self, known: Known, wanted: Version, asked: VersionRequest) -> Trial | None:
        """As asked for; where the version in force is on trial itself, back means to the one that is not."""
        if asked.trial_s is None or known.version is None:
            return None
        if asked.back_to is not None or asked.target:
            raise InvalidInput("trial_s goes with a mapping or with replaced: going back is not taken back")
        running = await self.trial()
        back_to = running.back_to if running and running.version == known.number else known.number
        return Trial(version=wanted.version, back_to=back_to, within_s=asked.trial_s, by=wanted.by, at=wanted.at)

    async def _wanted(self, known: Known, asked: VersionRequest) -> Version:
        """The version that is asked for; the one in force when there is nothing to do."""
        base = known.version or Version(version=0, text="")
        made = msgspec.structs.replace(base, version=known.number + 1, by=asked.by[:200], at=self._clock())
        if asked.text is not None:
            _only(asked, "text")
            made = msgspec.structs.replace(made, text=asked.text, lock={}, note="applied")
            return resolve(made, known.repository, source="the mapping")  # its number says nothing to who wrote it
        if known.version is None:
            raise NotFound(NOTHING)
        if asked.replaced:
            return with_newest(known.version, made, known.repository, asked.replaced)
        if asked.release:
            return _released(known.resolved(made), asked.target)
        if asked.back_to is not None:
            return await self._back(known, made, asked)
        if asked.target:
            raise InvalidInput(f"what about target {asked.target!r}? give back_to or release")
        note = "applied anew, with the newest bundles"
        return resolve(msgspec.structs.replace(made, lock={}, note=note), known.repository)

    async def _back(self, known: Known, made: Version, asked: VersionRequest) -> Version:
        if asked.target:
            return await self._hold(known, made, check_target(asked.target), asked.back_to or 0)
        number = asked.back_to or known.number - 1
        if number == known.number:
            raise InvalidInput(f"version {number} is in force: there is nothing to go back to")
        there = await self.version(number) if number else None
        if there is None:
            raise InvalidInput("version 1 is the first: there is nothing before it to go back to")
        return msgspec.structs.replace(
            known.resolved(there), version=made.version, by=made.by, at=made.at, note=f"back to version {number}"
        )

    async def _hold(self, known: Known, made: Version, target: str, number: int) -> Version:
        """Hold `target` at what version `number` gave it; 0: the youngest that gave it something else than now."""
        there, bundles = await self._that_gave(known, target, number)
        keys, archives = tuple(each.key for each in bundles), {each.key: each.sha256 for each in bundles}
        held = Held(version=there, bundles=keys, archives=archives, by=made.by, at=made.at)
        note = f"{target} held at version {there}"
        base = known.resolved(made)
        return msgspec.structs.replace(base, held={**base.held, target: held}, note=note)

    async def _that_gave(self, known: Known, target: str, number: int) -> tuple[int, tuple[Pinned, ...]]:
        if number:
            return number, given(known.resolved(await self.version(number)), target)
        assert known.version is not None
        now = given(known.resolved(known.version), target)
        for version in await self.versions():
            try:
                bundles = given(known.resolved(version), target)
            except InvalidInput:
                continue  # made by older software, and it names bundles that were removed since
            if bundles != now:
                return version.version, bundles
        raise InvalidInput(f"every version that is kept gives {target} what it has: there is nothing to go back to")

    def _before(self, known: Known) -> Version | None:
        try:
            return known.resolved(known.version) if known.version else None
        except InvalidInput:
            return None  # what is in force cannot be understood: everything is new

    async def _commit(self, known: Known, wanted: Version, trial: Trial | None) -> None:
        value = msgspec.json.encode(wanted)
        if len(value) > MAX_RECORD:
            raise InvalidInput(f"the mapping is too large: {len(value)} bytes with what is held, at most {MAX_RECORD}")
        # The bundles must still be there: somebody may remove one between our look and the commit.
        keys = [known.key_of(pinned) for pinned in used(wanted)][: MAX_GUARDS - 2]
        guards = [ModIs(key=key, revision=known.revisions[key]) for key in (CURRENT, *keys)]
        ops: list[Op] = [Put(key=CURRENT, value=value), Put(key=version_key(wanted.version), value=value)]
        ops.append(Put(key=TRIAL, value=msgspec.json.encode(trial)) if trial else Delete(key=TRIAL))
        if wanted.version > KEPT_VERSIONS:
            ops.append(Delete(key=version_key(wanted.version - KEPT_VERSIONS)))
        ops += [Delete(key=key) for key in await self._outlived(known, wanted)]
        try:
            await self._store.commit(ops[:MAX_OPS], guards=guards)
        except Conflict as error:
            current = await self.version(0) if (await self._store.get(CURRENT)) else None
            if current is not None and _but_times(current) == _but_times(wanted):
                return  # our own: its answer was lost, and it was sent again
            raise self._too_late(current, known.number) from error

    async def _outlived(self, known: Known, wanted: Version) -> list[str]:
        """Keys of archives that were replaced and that no version kept from now on names."""
        replaced = known.repository.replaced
        if not replaced:
            return []
        oldest = wanted.version - KEPT_VERSIONS
        kept = (wanted, *(each for each in await self.versions() if each.version > oldest))
        named = {(pinned.name, pinned.version, pinned.sha256) for version in kept for pinned in used(version)}
        return [replaced_key(each) for key, each in replaced.items() if key not in named]

    def _too_late(self, current: Version | None, expected: int) -> Conflict:
        number = current.version if current else 0
        if number == expected:
            return Conflict("the bundles changed meanwhile; nothing was changed: ask again")
        who = f", {current.note} by {current.by or 'somebody'}" if current else ""
        return Conflict(
            f"version {number} is in force now{who}, yours was made from version {expected}; nothing was changed "
            "(see what changed: inaetics deploy show; then apply again)"
        )


def _but_times(version: Version) -> Version:
    """What two tries of one request have in common."""
    held = {target: msgspec.structs.replace(each, at=0.0) for target, each in version.held.items()}
    return msgspec.structs.replace(version, at=0.0, held=held)


def _check_signature(artifact: Artifact, anchors: Path) -> None:
    try:
        verify(artifact.sha256, artifact.signature, anchors=anchors)
    except InvalidInput as error:
        raise InvalidInput(f"cannot take bundle {artifact.manifest.key}: {error}") from error


def _only(asked: VersionRequest, what: str) -> None:
    if asked.back_to is not None or asked.release or asked.target or asked.replaced:
        raise InvalidInput(f"ask for one thing: {what} goes with neither back_to nor release nor target nor replaced")


def _released(made: Version, target: str) -> Version:
    if target not in made.held:
        names = ", ".join(sorted(made.held)) or "none is"
        raise NotFound(f"target {target!r} is not held (held: {names})")
    held = {name: each for name, each in made.held.items() if name != target}
    return msgspec.structs.replace(made, held=held, note=f"{target} released")


def read_standing(item: KeyValue) -> Iterator[tuple[str, Standing]]:
    """The target and how it is, from its key in etcd; nothing where it makes no sense.

    Every worker's certificate may write there: what one of them wrote must not keep anybody from deploying.
    """
    target = item.key.removeprefix(STANDINGS)
    with suppress(InvalidInput):
        check_target(target)
        yield from ((target, standing) for standing in _read(item, Standing))


def _read(item: KeyValue, kind: type[Record]) -> Iterator[Record]:
    """A record of the audit log, if it can be understood."""
    try:
        yield msgspec.json.decode(item.value, type=kind)
    except msgspec.DecodeError as error:
        log.warning("record of the audit log not understood", key=item.key, error=str(error))


def _artifact(item: KeyValue) -> Artifact:
    return msgspec.json.decode(item.value, type=Artifact)


def _names(known: Known, version: Version, name: str, number: str) -> bool:
    try:
        return any((pinned.name, pinned.version) == (name, number) for pinned in used(known.resolved(version)))
    except InvalidInput:
        return False  # made by older software, and it names bundles that were removed since


def _new_ones(known: Known, before: Version | None, after: Version) -> list[Artifact]:
    """The archives that the change makes somebody need."""
    old = {*used(before)} if before else set()
    return [known.repository.find(pinned) for pinned in used(after) if pinned not in old]
