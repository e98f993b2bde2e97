"""A deployment is taken when it is what the version in force gives: the vectors that Java's agent reads too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from inaetics.bundles.exchange import Deployment
from inaetics.bundles.given import read_version
from inaetics.bundles.in_force import Age, age, differs

VECTORS: dict[str, Any] = msgspec.json.decode(
    (Path(__file__).parents[2] / "vectors" / "provisioning" / "in-force.json").read_bytes()
)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["rule"]) for case in VECTORS["cases"]])
def test_only_what_the_version_in_force_gives_is_taken(case: dict[str, Any]) -> None:
    version = read_version(msgspec.json.encode(VECTORS["records"][case["record"]]))
    deployment = msgspec.convert(case["deployment"], Deployment)
    seen, words = age(deployment, version), differs(deployment, case["target"], version)
    found = seen.value if seen is not Age.SAME else "false" if words else "taken"
    assert found == case["verdict"]
    assert bool(words) == (found != "taken"), "what is not taken has a reason"


def test_the_reason_says_what_differs() -> None:
    version = read_version(msgspec.json.encode(VECTORS["records"]["full"]))
    said = {
        case["rule"]: differs(msgspec.convert(case["deployment"], Deployment), case["target"], version)
        for case in VECTORS["cases"]
    }
    assert said["nothing at all"] == "clock@1.2.0 is missing, which version 8 gives to celix@3"
    assert said["a bundle too many"] == "it has time@1.0.0, which version 8 does not give to celix@1"
    assert said["another archive of a bundle"] == (
        "its archive of clock@1.2.0 has sha256 dddddddddddddddd…, and version 8 names bbbbbbbbbbbbbbbb…"
    )
    assert (
        said["an older version, though its bundles are right"] == "it is of version 7 of the mapping, and 8 is in force"
    )
