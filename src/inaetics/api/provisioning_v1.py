"""`/inaetics/v1/provisioning`: bundles, versions of the mapping, targets and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.control_token import person
from inaetics.api.provisioning import Known, Made, Provisioning
from inaetics.api.provisioning_trials import keep
from inaetics.api.provisioning_wire import (
    BundleList,
    BundleWritten,
    ChangeEntry,
    TargetEntry,
    TargetHistory,
    TargetList,
    VersionEntry,
    VersionKept,
    VersionList,
    VersionReply,
    VersionRequest,
)
from inaetics.api.replies import read_json, reply
from inaetics.api.services import Services
from inaetics.api.views import places
from inaetics.bundles.deployment import deployment_for
from inaetics.bundles.given import given, named_targets, why
from inaetics.bundles.manifest import version_order
from inaetics.bundles.outcome import outcome_of
from inaetics.bundles.records import Artifact, Standing, Version, check_target
from inaetics.errors import InvalidInput
from inaetics.fleet.model import UnitName

PATH = "/inaetics/v1/provisioning"


def routes(services: Services) -> list[Route]:
    """The resources of provisioning."""
    ours = _Provisioning(services)
    return [
        Route(f"{PATH}/bundles", ours.bundles, methods=["GET"]),
        Route(f"{PATH}/bundles/{{name}}/{{version}}", ours.put_bundle, methods=["PUT"]),
        Route(f"{PATH}/bundles/{{name}}/{{version}}", ours.remove_bundle, methods=["DELETE"]),
        Route(f"{PATH}/versions", ours.versions, methods=["GET"]),
        Route(f"{PATH}/versions", ours.change, methods=["POST"]),
        Route(f"{PATH}/versions/{{number}}", ours.version, methods=["GET"]),
        Route(f"{PATH}/versions/{{number}}/keep", ours.keep, methods=["POST"]),
        Route(f"{PATH}/targets", ours.targets, methods=["GET"]),
        Route(f"{PATH}/targets/{{target}}", ours.target, methods=["GET"]),
        Route(f"{PATH}/targets/{{target}}/history", ours.history, methods=["GET"]),
    ]


class _Provisioning:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._desk = Provisioning(services.store, archives=services.archives, anchors=services.signers)

    async def bundles(self, request: Request) -> Response:
        known = await self._desk.known()
        newest, replaced = (_sorted(each.values()) for each in (known.repository.newest, known.repository.replaced))
        return reply(BundleList(bundles=newest, replaced=replaced))

    async def put_bundle(self, request: Request) -> Response:
        artifact = await read_json(request, Artifact)
        name, version = request.path_params["name"], request.path_params["version"]
        if (artifact.name, artifact.version) != (name, version):
            raise InvalidInput(f"the body is of {artifact.name} {artifact.version}, the path of {name} {version}")
        if request.query_params.get("sign", "0") == "1":
            await self._desk.sign(artifact)
            return reply(BundleWritten(name=name, version=version))
        replace_it = request.query_params.get("replace", "0") == "1"
        changed = await self._desk.put_artifact(artifact, replace_it=replace_it)
        return reply(BundleWritten(name=name, version=version, unchanged=not changed))

    async def remove_bundle(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params["version"]
        await self._desk.remove_artifact(name, version)
        return reply(BundleWritten(name=name, version=version))

    async def versions(self, request: Request) -> Response:
        found = await self._desk.versions()
        entries = (VersionEntry(version=each.version, by=each.by, at=each.at, note=each.note) for each in found)
        return reply(VersionList(versions=tuple(entries), trial=await self._desk.trial()))

    async def version(self, request: Request) -> Response:
        text = request.path_params["number"]
        return reply(await self._desk.version(0 if text == "current" else _number(text, "or 'current'")))

    async def keep(self, request: Request) -> Response:
        number = _number(request.path_params["number"], "the one in force")
        await person(self._services.store, request)
        return reply(VersionKept(version=number, was_on_trial=await keep(self._services.store, number)))

    async def change(self, request: Request) -> Response:
        asked = await read_json(request, VersionRequest)
        await person(self._services.store, request)  # whoever shows a token shows the cluster's
        made = await self._desk.change(asked)
        made_none = asked.plan or made.version.version == made.before
        return reply(_reply(made, planned=asked.plan), 200 if made_none else 201)

    async def targets(self, request: Request) -> Response:
        known, standings = await self._desk.known(), await self._desk.standings()
        version, error = _understood(known)
        named = named_targets(version) if version else frozenset()
        units = await self._units()
        entries = tuple(
            _target(known, version, name, standings.get(name), units(name)) for name in sorted({*standings, *named})
        )
        return reply(TargetList(version=known.number, targets=entries, error=error))

    async def target(self, request: Request) -> Response:
        name = check_target(request.path_params["target"])
        known, standings = await self._desk.known(), await self._desk.standings()
        version, error = _understood(known)
        units = await self._units()
        entry = _target(known, version, name, standings.get(name), units(name))
        return reply(TargetList(version=known.number, targets=(entry,), error=error))

    async def _units(self) -> Callable[[str], str]:
        """What says of a target how the unit of its name is, see `TargetEntry`."""
        snapshot = await self._services.snapshot()
        where = places(snapshot)

        def unit(target: str) -> str:
            name = UnitName(f"{target}.service")
            if name not in snapshot.units:
                return ""
            place = where.get(name)
            live = place is not None and place.placement.machine in snapshot.machines
            return place.state.active if place is not None and place.state is not None and live else "inactive"

        return unit

    async def history(self, request: Request) -> Response:
        target = request.path_params["target"]
        return reply(TargetHistory(target=target, entries=await self._desk.log(target)))


def _number(text: str, other: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < len(text) < 10:
        raise InvalidInput(f"{text!r} is no version: give its number, {other}")
    return int(text)


def _sorted(found: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """By name, the newest version of each first."""
    newest_first = sorted(found, key=lambda each: version_order(each.version), reverse=True)
    return tuple(sorted(newest_first, key=lambda each: each.name))


def _understood(known: Known) -> tuple[Version | None, str]:
    if known.version is None:
        return None, ""
    try:
        return known.resolved(known.version), ""
    except InvalidInput as error:
        return None, str(error)


def _target(known: Known, version: Version | None, name: str, standing: Standing | None, unit: str) -> TargetEntry:
    if version is None:
        return TargetEntry(target=name, standing=standing, unit=unit)
    deployment = deployment_for(name, version, known.repository).version
    return TargetEntry(
        target=name,
        bundles=tuple(bundle.key for bundle in given(version, name)),
        why=why(version, name),
        metadata=version.metadata.get(name, {}),
        held=version.held.get(name),
        standing=standing,
        deployment=deployment,
        outcome=outcome_of(deployment, standing),
        unit=unit,
    )


def _reply(made: Made, *, planned: bool) -> VersionReply:
    entries = tuple(
        ChangeEntry(
            target=each.target,
            added=each.added,
            removed=each.removed,
            changed=each.changed,
            kept=each.kept,
            why=each.why,
            starts=each.starts,
            stops=each.stops,
        )
        for each in made.changes
    )
    return VersionReply(
        version=made.version.version,
        before=made.before,
        note=made.version.note,
        changes=entries,
        planned=planned,
        rules=made.rules,
        trial=made.trial,
    )
