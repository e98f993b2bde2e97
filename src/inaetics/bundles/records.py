"""What provisioning keeps in etcd: artifacts, versions of the mapping, and what became of them at each target. Pure.

| key | value | written by |
|---|---|---|
| `…/provisioning/artifacts/NAME/VERSION` | `Artifact`: the newest archive of this version | the API |
| `…/provisioning/replaced/NAME/VERSION/SHA256` | `Artifact` that another took the place of | the API |
| `…/provisioning/current` | `Version`: the one in force | the API |
| `…/provisioning/versions/NUMBER` | `Version`, the last `KEPT_VERSIONS` | the API |
| `…/provisioning-trial` | `Trial`: while the version in force may still be taken back by the cluster | the API |
| `…/node-provisioning-log/entries/TARGET/TIME-ID` | `Entry`, the last `KEPT_ENTRIES` of each target | servers |
| `…/node-provisioning-log/targets/TARGET` | `Standing`: how the target is | servers |

One transaction, guarded by the revision of `current`, makes a version: so versions are numbered without gaps, and of
two people who decide from the same one the second is told. A version decides everything, to the byte: what its rules
give, with the hash of each archive, and which targets are held where they were. So an archive that takes another's
place changes no version, and the one before is kept for as long as a version names it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from inaetics.bundles.exchange import WITHIN_S
from inaetics.bundles.manifest import Manifest
from inaetics.bundles.signature import Signature
from inaetics.errors import InvalidInput

PREFIX = "/inaetics/provisioning/"
ARTIFACTS = f"{PREFIX}artifacts/"
REPLACED = f"{PREFIX}replaced/"
CURRENT = f"{PREFIX}current"
VERSIONS = f"{PREFIX}versions/"
TRIAL = "/inaetics/provisioning-trial"
"""Not below `PREFIX`, which every server follows: a trial does not concern them."""
LOG_ROOT = "/inaetics/node-provisioning-log/"
LOG = f"{LOG_ROOT}entries/"
STANDINGS = f"{LOG_ROOT}targets/"

KEPT_VERSIONS = 50
KEPT_ENTRIES = 50
MAX_RECORD = 1_000_000
"""Bytes of one version: etcd takes one and a half million a request, and a version is written twice."""

REPOSITORY = "inaetics/bundles/"
"""Where archives are in the registry: a repository for each bundle, a tag for each version, the blob by its sha256."""

_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9@:_.+-]{0,99}\Z")


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a bundle: what its manifest says, and which archive (in the registry) it is."""

    name: str
    version: str
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0)]
    entry: str = ""
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    kind: Literal["python", "osgi"] = "python"
    signature: Signature | None = None
    by: Annotated[str, msgspec.Meta(max_length=200)] = ""
    at: float = 0.0
    """When it was pushed, in Unix seconds."""

    @property
    def key(self) -> str:
        """As versions of the mapping name it: ``name@version``."""
        return f"{self.name}@{self.version}"

    @classmethod
    def of(cls, manifest: Manifest, *, sha256: str, size: int, by: str = "") -> Artifact:
        """The archive of a bundle that says `manifest`, not signed; `sha256` is in hex, `size` in bytes."""
        return cls(
            name=manifest.name,
            version=manifest.version,
            sha256=sha256,
            size=size,
            entry=manifest.entry,
            requires=manifest.requires,
            provides=manifest.provides,
            exclusive=manifest.exclusive,
            kind=manifest.kind,
            by=by,
        )

    @property
    def manifest(self) -> Manifest:
        return Manifest(
            name=self.name,
            version=self.version,
            entry=self.entry,
            requires=self.requires,
            provides=self.provides,
            exclusive=self.exclusive,
            kind=self.kind,
        )


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Targets that fit the glob `target` and have the metadata get `bundles` (``name@version``), as they start."""

    target: str
    bundles: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = {}
    """For each key the values of which a target has one."""

    @property
    def title(self) -> str:
        """As messages and pages call it."""
        asked = ", ".join(f"{key}={'|'.join(values)}" for key, values in self.where.items())
        return f"{self.target!r}" + (f" where {asked}" if asked else "")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A target that stays at these bundles (``name@version``), as version `version` gave it, until it is released."""

    version: int
    bundles: tuple[str, ...]
    archives: dict[str, str] = {}
    """The hash of each; empty in records of older software."""
    by: str = ""
    at: float = 0.0


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """While this stands, the cluster goes back from `version` to `back_to` when a target says that it cannot run it.

    It ends with `within_s`, with any other version, or when somebody says that the version stays.
    """

    version: int
    back_to: int
    within_s: float
    by: str = ""
    at: float = 0.0


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """The version that was taken back, and what targets (not all of them) said that could not run it."""

    version: int
    failed: dict[str, str] = {}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the mapping, as it was put in force."""

    version: int
    text: str
    lock: dict[str, str] = {}
    """Which version each name without one means."""
    rules: tuple[Rule, ...] | None = None
    """What the text says, in order; None in records of older software, which say nothing of archives either."""
    metadata: dict[str, dict[str, str]] = {}
    """Of targets."""
    archives: dict[str, str] = {}
    """The hash of every bundle (``name@version``) of the rules."""
    within_s: float = WITHIN_S
    held: dict[str, Held] = {}
    by: str = ""
    at: float = 0.0
    note: str = ""
    """What was asked for: "applied", "back to version 3", "felix@1 held at version 3", "clock@1.0.0 replaced"."""
    undid: Undone | None = None
    """What was on trial and failed, when the cluster made this version of its own accord."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened at a target. `version` is the deployment's; `by` is who put its mapping in force."""

    at: float
    event: Literal["given", "installed", "failed", "rolled-back"]
    version: str
    by: str = ""
    bundles: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0
    where: str = ""
    """The agent's host."""
    server: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is, by what is in its log: its last entry, and what it runs."""

    last: Entry
    running: str = ""
    """The deployment it installed last; empty when none is known."""
    bundles: tuple[str, ...] = ()
    given: Entry | None = None

    @staticmethod
    def after(before: Standing | None, entry: Entry) -> Standing:
        """How it is after `entry`."""
        given = entry if entry.event == "given" else before.given if before else None
        running, bundles = (before.running, before.bundles) if before else ("", ())
        if entry.event == "installed":
            running, bundles = entry.version, given.bundles if given and given.version == entry.version else ()
        return Standing(last=entry, running=running, bundles=bundles, given=given)


def artifact_key(name: str, version: str) -> str:
    """Where the newest archive of a version is."""
    return f"{ARTIFACTS}{name}/{version}"


def replaced_key(artifact: Artifact) -> str:
    """Where an archive is that another took the place of."""
    return f"{REPLACED}{artifact.name}/{artifact.version}/{artifact.sha256}"


def version_key(number: int) -> str:
    """Where a version of the mapping is."""
    return f"{VERSIONS}{number:010d}"


def standing_key(target: str) -> str:
    """Where it is kept how a target is."""
    return f"{STANDINGS}{target}"


def log_prefix(target: str) -> str:
    """Below which the entries of a target are."""
    return f"{LOG}{target}/"


def check_target(target: str) -> str:
    """Return `target` if it may be one: it becomes part of a key."""
    if not _TARGET.match(target):
        raise InvalidInput(f"{target[:110]!r} is no target: it takes letters, digits and @ : _ . + -, at most 100")
    return target
