"""What a push would do: which archives it would bring, and what agents would do about it. Nothing is sent, nor signed.

Worked out here, by the same rules as at the API: what is not pushed yet is known nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from inaetics.bundles.changes import changes
from inaetics.bundles.records import Artifact, Version
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve, resolved, with_newest
from inaetics.cli.bundle_work import artifact_of, refuse_another, shipped_mapping
from inaetics.cli.common import print_json, print_table, say
from inaetics.cli.deploy_display import print_change
from inaetics.errors import NotFound

if TYPE_CHECKING:
    from inaetics.api.client import FleetClient
    from inaetics.api.provisioning_wire import VersionReply
    from inaetics.bundles.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """Each archive with what would become of it; and the version of the mapping that would be made, if one would."""

    bundles: tuple[tuple[Artifact, str], ...]
    version: VersionReply | None


def plan_push(client: FleetClient, found: Sequence[Archive], *, by: str, replace: bool, shipped: bool) -> PushPlan:
    """What a push of these archives would do. `shipped`: they are the demonstrator's.

    Raises what the push would raise: `Conflict` for a version that has another archive, unless it would be replaced.
    """
    from inaetics.api import provisioning_client as api

    before = api.repository(client)
    made = [artifact_of(archive, by=by) for archive in found]
    bundles = []
    for archive, artifact in zip(found, made, strict=True):
        known = before.newest.get((artifact.name, artifact.version))
        if not (replace or shipped):
            refuse_another(known, archive)
        bundles.append((artifact, _outcome(known, artifact)))
    after = _after(before, made)
    wanted = _wanted(client, after, made, replace=replace, shipped=shipped)
    return PushPlan(bundles=tuple(bundles), version=_reply(client, before, wanted) if wanted else None)


def print_push_plan(plan: PushPlan, output: str) -> None:
    """What would be pushed, and what that would change, where, in which order."""
    if output == "json":
        print_json({"bundles": [_row(*each) for each in plan.bundles], "version": msgspec.to_builtins(plan.version)})
        return
    rows = [(each.name, each.version, each.sha256[:16], outcome) for each, outcome in plan.bundles]
    print_table(("BUNDLE", "VERSION", "SHA256", "WOULD BE"), rows)
    if plan.version is not None:
        print_change(plan.version, output)
    else:
        say("nothing that runs would change, and nothing was changed")


def _outcome(known: Artifact | None, artifact: Artifact) -> str:
    if known is None:
        return "signed and pushed"
    if known.sha256 == artifact.sha256:
        return "unchanged"
    return f"in place of {known.sha256[:16]}"


def _after(before: Repository, made: Sequence[Artifact]) -> Repository:
    """What there would be."""
    newest = {**before.newest, **{(each.name, each.version): each for each in made}}
    gone = [each for key, each in before.newest.items() if newest[key].sha256 != each.sha256]
    return Repository.of(newest.values(), (*before.replaced.values(), *gone))


def _wanted(
    client: FleetClient, after: Repository, made: Sequence[Artifact], *, replace: bool, shipped: bool
) -> tuple[Version | None, Version] | None:
    """The version in force, and the one that would be made; None when none would."""
    from inaetics.api import provisioning_client as api

    try:
        current = api.version(client)
    except NotFound:
        current = None
    number = current.version if current else 0
    if shipped and (current is None or current.text == shipped_mapping()):
        base = current or Version(version=0, text="")
        asked = msgspec.structs.replace(base, version=number + 1, text=shipped_mapping(), lock={}, note="applied")
        return current, resolve(asked, after)
    if current is None or not (replace or shipped):
        return None
    keys = tuple(each.key for each in made)
    wanted = with_newest(current, msgspec.structs.replace(current, version=number + 1), after, keys)
    return None if wanted == current else (current, wanted)


def _reply(client: FleetClient, before: Repository, wanted: tuple[Version | None, Version]) -> VersionReply | None:
    """As the API would answer; None where nothing changes anywhere."""
    from inaetics.api import provisioning_client as api
    from inaetics.api.provisioning_wire import ChangeEntry, VersionReply

    current, version = wanted
    was = resolved(current, before) if current else None
    found = changes(was, version, [each.target for each in api.targets(client).targets])
    if current is not None and all(each.empty for each in found):
        return None
    return VersionReply(
        version=version.version,
        before=version.version - 1,
        note=version.note,
        changes=tuple(ChangeEntry(**asdict(each)) for each in found),
        planned=True,
        rules=len(version.rules or ()),
    )


def _row(artifact: Artifact, outcome: str) -> dict[str, Any]:
    return {"name": artifact.name, "version": artifact.version, "sha256": artifact.sha256, "would_be": outcome}
