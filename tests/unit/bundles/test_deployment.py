"""A deployment's version names its content, and nothing but the content."""

from __future__ import annotations

import msgspec
import pytest

from inaetics.bundles.deployment import deployment_for
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.bundles.manifest import Manifest
from inaetics.bundles.mapping import parse_mapping
from inaetics.bundles.records import Artifact

A, B = Manifest(name="a", version="1.0"), Manifest(name="b", version="1.0")
TEXT = '[[rules]]\ntarget = "x"\ninstall = ["a", "b"]\n[[rules]]\ntarget = "y"\ninstall = ["b"]'


def archives(**hashes: str) -> dict[tuple[str, str], Artifact]:
    return {
        (name, "1.0"): Artifact(name=name, version="1.0", sha256=digest * 64, size=1) for name, digest in hashes.items()
    }


def test_same_content_same_version_wherever_it_is_made() -> None:
    mapping = parse_mapping(TEXT, (A, B))
    one = deployment_for("x", mapping, archives(a="1", b="2"), counter=7)
    assert one == deployment_for("x", parse_mapping(TEXT, (B, A)), archives(b="2", a="1"), counter=7)
    assert one.version.startswith("7-")
    assert [bundle.url for bundle in one.bundles] == ["/bundles/a/1.0", "/bundles/b/1.0"]


@pytest.mark.parametrize(
    ("target", "hashes", "counter"),
    [
        pytest.param("x", {"a": "3", "b": "2"}, 7, id="other content of a bundle"),
        pytest.param("y", {"a": "1", "b": "2"}, 7, id="other bundles"),
        pytest.param("x", {"a": "1", "b": "2"}, 8, id="a newer mapping"),
    ],
)
def test_other_content_or_mapping_is_another_version(target: str, hashes: dict[str, str], counter: int) -> None:
    mapping = parse_mapping(TEXT, (A, B))
    one = deployment_for("x", mapping, archives(a="1", b="2"), counter=7)
    assert deployment_for(target, mapping, archives(**hashes), counter=counter).version != one.version


def test_it_travels_as_json() -> None:
    one = deployment_for("x", parse_mapping(TEXT, (A, B)), archives(a="1", b="2"), counter=7)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Deployment) == one


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"name": "../a"}, id="a name that is a path"),
        pytest.param({"version": "1/../2"}, id="a version that is a path"),
        pytest.param({"sha256": "abc"}, id="a hash that is none"),
    ],
)
def test_what_becomes_a_file_name_is_checked(fields: dict[str, str]) -> None:
    good = {"name": "a", "version": "1.0", "sha256": "0" * 64, "url": "/x"}
    assert msgspec.convert(good, DeployedBundle).name == "a"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(good | fields, DeployedBundle)
