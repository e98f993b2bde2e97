"""Provisioning as it travels. Versions, artifacts and entries of the audit log go as they are in etcd."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from inaetics.bundles.outcome import Outcome
from inaetics.bundles.records import Artifact, Entry, Held, Standing, Trial


class BundleList(Struct, frozen=True, kw_only=True):
    """Every version of every bundle, by name and then the newest first.

    `replaced` are archives that others took the place of, kept for versions of the mapping that name them.
    """

    bundles: tuple[Artifact, ...] = ()
    replaced: tuple[Artifact, ...] = ()


class BundleWritten(Struct, frozen=True, kw_only=True):
    """`unchanged`: it was there already, the same archive with a signature that still counts."""

    name: str
    version: str
    unchanged: bool = False


class VersionRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks for; exactly one of these:

    - `text`: this mapping; or nothing of what follows: the text in force anew, with the newest bundles;
    - `back_to`: what version that was (0: the one before); with `target` only that target, which is held there;
    - `release` with `target`: let a held target follow the rules again;
    - `replaced`: of these bundles (``NAME@VERSION``) the archives they have now, for everybody who gets them and is not
      held. No version is made where it gives them already, or none of them.

    `expected` is the version in force that the wish was decided from: another one is a conflict. With `plan` nothing
    is changed. `by` says who asks, and `reason` why: it stands in the history.

    With `trial_s` the version is on trial for so many seconds: when a target that it concerns cannot run it, the
    cluster goes back to the version before, whoever asked and is gone. See `Trial`.
    """

    text: str | None = None
    back_to: int | None = None
    target: str = ""
    release: bool = False
    replaced: tuple[str, ...] = ()
    expected: int | None = None
    by: str = ""
    reason: Annotated[str, Meta(max_length=500)] = ""
    plan: bool = False
    trial_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None


class ChangeEntry(Struct, frozen=True, kw_only=True):
    """At one target: what comes, goes, and changes its version (name, old, new). `why` names the rule.

    `starts` and then `stops` are its steps, in order; targets take them side by side.
    """

    target: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    kept: int = 0
    why: str = ""
    starts: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()


class VersionReply(Struct, frozen=True, kw_only=True):
    """The version that was made, or that a plan would make, and what it changes where; `trial` when it is on trial."""

    version: int
    before: int
    note: str
    changes: tuple[ChangeEntry, ...] = ()
    planned: bool = False
    rules: int = 0
    trial: Trial | None = None


class VersionEntry(Struct, frozen=True, kw_only=True):
    """One line of the history."""

    version: int
    by: str = ""
    at: float = 0.0
    note: str = ""


class VersionList(Struct, frozen=True, kw_only=True):
    """The youngest first; as many as are kept. `trial` when the one in force is on trial."""

    versions: tuple[VersionEntry, ...] = ()
    trial: Trial | None = None


class VersionKept(Struct, frozen=True, kw_only=True):
    """The version stays in force, whatever targets say. `was_on_trial`: it might have been taken back until now."""

    version: int
    was_on_trial: bool


class TargetEntry(Struct, frozen=True, kw_only=True):
    """What a target shall run by the version in force, and how it is by its audit log.

    `deployment` names what it shall run, as its log does, and `outcome` says how far it is with that. `unit` is what is
    reported of the unit of the target's name ("active", "failed", ...; "inactive" on no machine; empty without one).
    """

    target: str
    bundles: tuple[str, ...] = ()
    why: str = ""
    metadata: dict[str, str] = {}
    held: Held | None = None
    standing: Standing | None = None
    deployment: str = ""
    outcome: Outcome = "waiting"
    unit: str = ""


class TargetList(Struct, frozen=True, kw_only=True):
    """Every target that is known or named; `error` when the version in force cannot be understood."""

    version: int
    targets: tuple[TargetEntry, ...] = ()
    error: str = ""


class TargetHistory(Struct, frozen=True, kw_only=True):
    """A target's audit log, the youngest first."""

    target: str
    entries: tuple[Entry, ...] = ()
