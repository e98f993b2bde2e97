"""Changes of provisioning: artifacts and versions of the mapping, each one transaction that fails when it came second.

Everything is read when it is asked for and nothing is kept, so any API of the cluster may be asked. Nothing is put in
force that no agent could follow: a mapping is checked against the bundles there are, signatures against the cluster's
authority, and archives are looked for in the registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inaetics.api.provisioning_archives import Archives, Unchecked
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.changes import Change, changes
from inaetics.bundles.deployment import Artifacts
from inaetics.bundles.manifest import read_manifest
from inaetics.bundles.mapping import Mapping, parse_mapping
from inaetics.bundles.records import (
    ARTIFACTS,
    CURRENT,
    KEPT_VERSIONS,
    MAX_RECORD,
    STANDINGS,
    VERSIONS,
    Artifact,
    Entry,
    Held,
    Standing,
    Version,
    artifact_key,
    check_target,
    log_prefix,
    version_key,
)
from inaetics.bundles.signature import verify
from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.store.protocol import MAX_GUARDS, Delete, ModIs, Put, Store

NOTHING = "there is no version yet (apply a mapping: inaetics deploy apply FILE)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is in etcd at one moment. `revisions` are of the artifacts' keys and of the version in force."""

    version: Version | None
    artifacts: Artifacts
    revisions: dict[str, int]

    @property
    def number(self) -> int:
        return self.version.version if self.version else 0

    def mapping(self, version: Version) -> Mapping:
        """A version's mapping, by the bundles there are now. Raises `InvalidInput`."""
        return parse_mapping(
            version.text,
            [artifact.manifest for artifact in self.artifacts.values()],
            source=f"version {version.version}",
            lock=version.lock,
            held=version.held,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A version, and what it changes where."""

    version: Version
    before: int
    changes: tuple[Change, ...]
    rules: int


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
        listing = await self._store.list(ARTIFACTS)
        current = await self._store.get(CURRENT)
        found = [msgspec.json.decode(item.value, type=Artifact) for item in listing.items]
        revisions = {item.key: item.mod_revision for item in listing.items}
        revisions[CURRENT] = current.mod_revision if current else 0
        return Known(
            version=msgspec.json.decode(current.value, type=Version) if current else None,
            artifacts={(artifact.name, artifact.version): artifact for artifact in found},
            revisions=revisions,
        )

    async def put_artifact(self, artifact: Artifact, *, replace_it: bool = False) -> bool:
        """Make a bundle's archive known that is in the registry already; returns whether that changed anything.

        Raises `InvalidInput` for a manifest or signature that does not count, and `Conflict` when this version has
        another archive, unless it is to be replaced.
        """
        read_manifest(msgspec.json.encode(artifact.manifest), source=f"bundle {artifact.name!r}")
        if self._anchors is not None:
            _check_signature(artifact, self._anchors)
        await self._archives.check([artifact])
        key = artifact_key(artifact.name, artifact.version)
        item = await self._store.get(key)
        before = msgspec.json.decode(item.value, type=Artifact) if item else None
        if before is not None and before.sha256 != artifact.sha256 and not replace_it:
            raise Conflict(
                f"bundle {artifact.manifest.key} is there already with another archive (sha256 {before.sha256[:16]}…, "
                f"pushed by {before.by or 'somebody'}): give the new one a new version, or push with --replace"
            )
        if before is not None and before.sha256 == artifact.sha256 and before.signature == artifact.signature:
            return False
        made = msgspec.structs.replace(artifact, at=self._clock())
        guard = ModIs(key=key, revision=item.mod_revision if item else 0)
        await self._store.commit([Put(key=key, value=msgspec.json.encode(made))], guards=[guard])
        return before is None or before.sha256 != artifact.sha256

    async def remove_artifact(self, name: str, version: str) -> None:
        """Forget a version of a bundle that nothing in force, and no version kept, needs."""
        known = await self.known()
        if (name, version) not in known.artifacts:
            raise NotFound(f"there is no bundle {name} {version} (what there is: inaetics bundle list)")
        for kept in await self.versions():
            if _names(known, kept, name, version):
                raise Conflict(f"bundle {name}-{version} is part of version {kept.version} of the mapping: it stays")
        guards = [ModIs(key=CURRENT, revision=known.revisions[CURRENT])]
        await self._store.commit([Delete(key=artifact_key(name, version))], guards=guards)

    async def versions(self) -> tuple[Version, ...]:
        """Every version that is kept, the youngest first."""
        listing = await self._store.list(VERSIONS)
        return tuple(msgspec.json.decode(item.value, type=Version) for item in reversed(listing.items))

    async def version(self, number: int) -> Version:
        """One version; 0 is the one in force. Raises `NotFound`."""
        item = await self._store.get(version_key(number) if number else CURRENT)
        if item is None:
            raise NotFound(
                f"version {number} of the mapping is not kept (the last {KEPT_VERSIONS} are: inaetics deploy history)"
                if number
                else NOTHING
            )
        return msgspec.json.decode(item.value, type=Version)

    async def standings(self) -> dict[str, Standing]:
        """How every target is that was ever given anything."""
        listing = await self._store.list(STANDINGS)
        return {
            item.key.removeprefix(STANDINGS): msgspec.json.decode(item.value, type=Standing) for item in listing.items
        }

    async def log(self, target: str) -> tuple[Entry, ...]:
        """A target's audit log, the youngest first."""
        listing = await self._store.list(log_prefix(check_target(target)))
        return tuple(msgspec.json.decode(item.value, type=Entry) for item in reversed(listing.items))

    async def change(self, asked: VersionRequest) -> Made:
        """Make the version that is asked for, or only say what it would be. See `VersionRequest`.

        Raises `InvalidInput` for what cannot be followed, and `Conflict` when somebody else was first.
        """
        known = await self.known()
        if asked.expected is not None and asked.expected != known.number:
            raise self._too_late(known.version, asked.expected)
        wanted = await self._wanted(known, asked)
        mapping = known.mapping(wanted)
        note = f"{wanted.note}: {asked.reason}" if asked.reason else wanted.note
        wanted = msgspec.structs.replace(wanted, lock=dict(mapping.lock), note=note)
        before = self._mapping_before(known)
        found = changes(before, mapping, tuple(await self.standings()))
        made = Made(version=wanted, before=known.number, changes=found, rules=len(mapping.rules))
        if not asked.plan:
            await self._archives.check(_new_ones(known, before, mapping))
            await self._commit(known, mapping, wanted)
        return made

    async def _wanted(self, known: Known, asked: VersionRequest) -> Version:
        """The version that is asked for, its lock not yet complete."""
        now, number = self._clock(), known.number + 1
        base = known.version or Version(version=0, text="")
        made = msgspec.structs.replace(base, version=number, by=asked.by[:200], at=now)
        if asked.text is not None:
            _only(asked, "text")
            return msgspec.structs.replace(made, text=asked.text, lock={}, note="applied")
        if asked.release:
            return _released(made, asked.target)
        if asked.back_to is not None:
            return await self._back(known, made, asked)
        if asked.target:
            raise InvalidInput(f"what about target {asked.target!r}? give back_to or release")
        if known.version is None:
            raise NotFound(NOTHING)
        return msgspec.structs.replace(made, lock={}, note="applied anew, with the newest bundles")

    async def _back(self, known: Known, made: Version, asked: VersionRequest) -> Version:
        if known.version is None:
            raise NotFound(NOTHING)
        if asked.target:
            return await self._hold(known, made, check_target(asked.target), asked.back_to or 0)
        number = asked.back_to or known.number - 1
        if number == known.number:
            raise InvalidInput(f"version {number} is in force: there is nothing to go back to")
        there = await self.version(number) if number else None
        if there is None:
            raise InvalidInput("version 1 is the first: there is nothing before it to go back to")
        note = f"back to version {number}"
        return msgspec.structs.replace(made, text=there.text, lock=there.lock, held=there.held, note=note)

    async def _hold(self, known: Known, made: Version, target: str, number: int) -> Version:
        """Hold `target` at what version `number` gave it; 0: the youngest that gave it something else than now."""
        there, bundles = await self._that_gave(known, target, number)
        held = Held(version=there, bundles=bundles, by=made.by, at=made.at)
        note = f"{target} held at version {there}"
        return msgspec.structs.replace(made, held={**made.held, target: held}, note=note)

    async def _that_gave(self, known: Known, target: str, number: int) -> tuple[int, tuple[str, ...]]:
        if number:
            return number, _given(known, await self.version(number), target)
        assert known.version is not None
        now = _given(known, known.version, target)
        for version in await self.versions():
            try:
                bundles = _given(known, version, target)
            except InvalidInput:
                continue  # it names bundles that were removed since
            if bundles != now:
                return version.version, bundles
        raise InvalidInput(f"every version that is kept gives {target} what it has: there is nothing to go back to")

    def _mapping_before(self, known: Known) -> Mapping | None:
        try:
            return known.mapping(known.version) if known.version else None
        except InvalidInput:
            return None  # what is in force cannot be understood: everything is new

    async def _commit(self, known: Known, mapping: Mapping, wanted: Version) -> None:
        value = msgspec.json.encode(wanted)
        if len(value) > MAX_RECORD:
            raise InvalidInput(f"the mapping is too large: {len(value)} bytes with what is held, at most {MAX_RECORD}")
        # The bundles must still be there: somebody may remove one between our look and the commit.
        keys = [artifact_key(bundle.name, bundle.version) for bundle in mapping.used][: MAX_GUARDS - 2]
        guards = [ModIs(key=key, revision=known.revisions[key]) for key in (CURRENT, *keys)]
        puts = [Put(key=CURRENT, value=value), Put(key=version_key(wanted.version), value=value)]
        gone = [Delete(key=version_key(wanted.version - KEPT_VERSIONS))] if wanted.version > KEPT_VERSIONS else []
        try:
            await self._store.commit([*puts, *gone], guards=guards)
        except Conflict as error:
            current = await self.version(0) if (await self._store.get(CURRENT)) else None
            if current is not None and _but_times(current) == _but_times(wanted):
                return  # our own: its answer was lost, and it was sent again
            raise self._too_late(current, known.number) from error

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
    if asked.back_to is not None or asked.release or asked.target:
        raise InvalidInput(f"ask for one thing: {what} goes with neither back_to nor release nor target")


def _released(made: Version, target: str) -> Version:
    if target not in made.held:
        names = ", ".join(sorted(made.held)) or "none is"
        raise NotFound(f"target {target!r} is not held (held: {names})")
    held = {name: each for name, each in made.held.items() if name != target}
    return msgspec.structs.replace(made, held=held, note=f"{target} released")


def _given(known: Known, version: Version, target: str) -> tuple[str, ...]:
    return tuple(f"{bundle.name}@{bundle.version}" for bundle in known.mapping(version).bundles_for(target))


def _names(known: Known, version: Version, name: str, number: str) -> bool:
    try:
        return any((bundle.name, bundle.version) == (name, number) for bundle in known.mapping(version).used)
    except InvalidInput:
        return False


def _new_ones(known: Known, before: Mapping | None, after: Mapping) -> list[Artifact]:
    """The archives that the change makes somebody need."""
    old = {bundle.key for bundle in (before.used if before else ())}
    return [known.artifacts[bundle.name, bundle.version] for bundle in after.used if bundle.key not in old]
