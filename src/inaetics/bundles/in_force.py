"""Whether a deployment is what the version in force gives. Pure.

A server may lie: every host of the cluster can register one. The record of the version cannot, only operators can
write it; so who is given a deployment compares the two. See "What an agent takes" in docs/reference/provisioning.md.
"""

from __future__ import annotations

from enum import Enum

from inaetics.bundles.deployment import counter_of
from inaetics.bundles.exchange import Deployment
from inaetics.bundles.given import given
from inaetics.bundles.records import Version


class Age(Enum):
    """Which version a deployment came from, seen from the one in force."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"


def age(deployment: Deployment, version: Version) -> Age:
    """Servers and agents hear of a version one before the other: the older and the newer may be right in a moment."""
    counter = counter_of(deployment.version)
    if counter == version.version:
        return Age.SAME
    return Age.OLDER if counter < version.version else Age.NEWER


def differs(deployment: Deployment, target: str, version: Version) -> str:
    """In what a deployment is not what `version` gives to `target`, in words; empty when it is just that.

    Of a version that was made by older software (no rules) only the number can be compared.
    """
    if age(deployment, version) is not Age.SAME:
        return f"it is of version {counter_of(deployment.version)} of the mapping, and {version.version} is in force"
    if version.rules is None:
        return ""
    if deployment.within_s != version.within_s:
        return f"it gives bundles {deployment.within_s:g} s to start, and the mapping {version.within_s:g} s"
    wanted = {bundle.key: bundle.sha256 for bundle in given(version, target)}
    found = {f"{bundle.name}@{bundle.version}": bundle.sha256 for bundle in deployment.bundles}
    if missing := sorted(wanted.keys() - found.keys()):
        return f"{missing[0]} is missing, which version {version.version} gives to {target}"
    if strays := sorted(found.keys() - wanted.keys()):
        return f"it has {strays[0]}, which version {version.version} does not give to {target}"
    if others := sorted(key for key in wanted if found[key] != wanted[key]):
        key = others[0]
        return (
            f"its archive of {key} has sha256 {found[key][:16]}…, and version {version.version} names "
            f"{wanted[key][:16]}…"
        )
    return "it names a bundle twice" if len(found) != len(deployment.bundles) else ""
