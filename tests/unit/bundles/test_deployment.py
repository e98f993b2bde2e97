"""A deployment's version names its content, and nothing but the content."""

from __future__ import annotations

import msgspec
import pytest

from inaetics.bundles.deployment import deployment_for
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.bundles.records import Artifact, Version
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve
from inaetics.errors import NotFound

TEXT = '[[rules]]\ntarget = "x"\ninstall = ["a", "b"]\n[[rules]]\ntarget = "y"\ninstall = ["b"]'


def deployed(target: str, counter: int = 7, **hashes: str) -> Deployment:
    """What a version gives that was made with these archives."""
    known = [Artifact(name=name, version="1.0", sha256=digest * 64, size=1) for name, digest in hashes.items()]
    repository = Repository.of(known)
    return deployment_for(target, resolve(Version(version=counter, text=TEXT), repository), repository)


def test_same_content_same_version_wherever_it_is_made() -> None:
    one = deployed("x", a="1", b="2")
    assert one == deployed("x", b="2", a="1")
    assert one.version.startswith("7-")
    hashes = ("1" * 64, "2" * 64)
    assert [each.url for each in one.bundles] == [
        f"/bundles/{name}/1.0?sha256={sha256}" for name, sha256 in zip("ab", hashes, strict=True)
    ]


def test_it_is_made_of_the_archives_that_the_version_names() -> None:
    first, then = (Artifact(name="b", version="1.0", sha256=digit * 64, size=1) for digit in "12")
    version = resolve(Version(version=1, text='[[rules]]\ninstall = ["b"]'), Repository.of([first]))
    found = deployment_for("x", version, Repository.of([then], replaced=[first]))
    assert [bundle.sha256 for bundle in found.bundles] == [first.sha256]
    with pytest.raises(NotFound, match="is not kept any more"):
        deployment_for("x", version, Repository.of([then]))


@pytest.mark.parametrize(
    ("target", "hashes", "counter"),
    [
        pytest.param("x", {"a": "3", "b": "2"}, 7, id="other content of a bundle"),
        pytest.param("y", {"a": "1", "b": "2"}, 7, id="other bundles"),
        pytest.param("x", {"a": "1", "b": "2"}, 8, id="a newer mapping"),
    ],
)
def test_other_content_or_mapping_is_another_version(target: str, hashes: dict[str, str], counter: int) -> None:
    assert deployed(target, counter, **hashes).version != deployed("x", a="1", b="2").version


def test_it_travels_as_json() -> None:
    one = deployed("x", a="1", b="2")
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
