"""What has become of a version of the mapping at a target, by what the target itself said. Pure."""

from __future__ import annotations

from collections.abc import Mapping as Map
from typing import Literal

from inaetics.bundles.deployment import content_of, name_of
from inaetics.bundles.given import given
from inaetics.bundles.records import Standing, Version

Outcome = Literal["current", "failed", "given", "waiting"]
"""`current`: it runs what it shall; `failed`: it refused that, or took it back; `given`: it was told, and has not said
yet what came of it; `waiting`: it was not told, or nobody has heard of it."""


def outcome_of(deployment: str, standing: Standing | None) -> Outcome:
    """How far a target is whose last standing is this and that shall run `deployment`.

    A failure counts until the target is given something else: who could not start a version is given it again with
    the next version of the mapping, also where the bundles are the same.
    """
    if standing is None:
        return "waiting"
    last, wanted = standing.last, content_of(deployment)
    if last.event in ("failed", "rolled-back") and last.version == deployment:
        return "failed"
    if last.event == "given":
        if last.version == deployment:
            return "given"
        return "current" if content_of(last.version) == wanted == content_of(standing.running) else "waiting"
    return "current" if content_of(standing.running) == wanted else "waiting"


def failures(before: Version, after: Version, standings: Map[str, Standing]) -> dict[str, str]:
    """Targets that `after` gives something else than `before` did and that cannot run it, with what they said.

    Both versions have been resolved.
    """
    return {
        target: words_of(standing)
        for target, standing in sorted(standings.items())
        if outcome_of(name_of(target, after), standing) == "failed" and given(before, target) != given(after, target)
    }


def words_of(standing: Standing) -> str:
    """What a target that failed said, and what it runs now."""
    last, running = standing.last, standing.running
    if not running:
        done = "refused it and runs nothing"
    elif last.event == "rolled-back":
        done = f"went back to deployment {running}"
    else:
        done = f"refused it and runs deployment {running} on"
    return f"{done}: {last.error or 'no reason was given'}"
