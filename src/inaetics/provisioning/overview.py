"""What the page shows, as JSON: repository, version in force, targets, audit log."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from inaetics.bundles.deployment import content_of
from inaetics.bundles.given import why
from inaetics.bundles.manifest import version_order
from inaetics.bundles.records import Entry
from inaetics.errors import Unavailable
from inaetics.provisioning.audit import Audit
from inaetics.provisioning.desk import Contact, Desk


def overview(desk: Desk, audit: Audit | None, *, revision: int = 0) -> dict[str, Any]:
    """Everything at one moment. Times are Unix seconds, ages seconds."""
    state = desk.state
    version = state.version
    last = audit.last if audit else {}
    return {
        "revision": revision,
        "version": version.version if version else 0,
        "by": version.by if version else "",
        "at": version.at if version else 0,
        "note": version.note if version else "",
        "error": state.error,
        "troubles": desk.troubles,
        "targets": [_target(desk, contact, last.get(contact.target)) for contact in desk.contacts],
        "rules": _rules(desk),
        "bundles": _bundles(desk),
        "log": [{"target": target} | _entry(entry) for target, entry in (audit.recent[:100] if audit else ())],
    }


def _target(desk: Desk, contact: Contact, last: Entry | None) -> dict[str, Any]:
    try:
        shall = desk.deployment(contact.target)
        version, bundles = shall.version, [f"{bundle.name} {bundle.version}" for bundle in shall.bundles]
    except Unavailable:
        version, bundles = "", []
    state = desk.state
    current = bool(version) and content_of(version) == content_of(contact.running)
    return {
        "target": contact.target,
        "where": contact.where,
        "running": contact.running,
        "wanted": version,
        "state": "current" if current and not contact.error else "failed" if contact.error else "changing",
        "bundles": bundles,
        "error": contact.error,
        "rule": why(state.version, contact.target) if state.version else "no rule fits",
        "there": contact.held > 0,
        "seen_s": round(max(time.monotonic() - contact.at, 0), 1),
        "last": _entry(last) if last else None,
    }


def _rules(desk: Desk) -> list[dict[str, Any]]:
    version = desk.state.version
    rules = version.rules or () if version else ()
    return [{"rule": rule.title, "bundles": [key.replace("@", " ") for key in rule.bundles]} for rule in rules]


def _bundles(desk: Desk) -> list[dict[str, Any]]:
    """The newest version of a bundle first. `used` is what somebody gets; an archive that was replaced only if so."""
    used = {(artifact.name, artifact.version, artifact.sha256) for artifact in desk.state.needed}
    replaced = [artifact for key, artifact in desk.known.replaced.items() if key in used]
    known = sorted((*desk.known.newest.values(), *replaced), key=lambda each: version_order(each.version), reverse=True)
    return [
        {
            "name": artifact.name,
            "version": artifact.version,
            "size": artifact.size,
            "sha256": artifact.sha256,
            "by": artifact.by,
            "at": artifact.at,
            "signed": artifact.signature is not None,
            "used": (artifact.name, artifact.version, artifact.sha256) in used,
            "provides": artifact.provides,
            "requires": artifact.requires,
        }
        for artifact in sorted(known, key=lambda each: each.name)
    ]


def _entry(entry: Entry) -> dict[str, Any]:
    return dict(msgspec.to_builtins(entry))
