"""The mapping: what a person writes either says exactly what each target gets, or is refused with what is wrong."""

from __future__ import annotations

import pathlib
from importlib.resources import files

import pytest

import inaetics.demonstrator
from inaetics.bundles.manifest import Manifest, read_manifest
from inaetics.bundles.mapping import parse_mapping
from inaetics.errors import InvalidInput
from tests.support.versions import gives, version_of


def manifest(name: str, version: str = "1.0.0", requires: str = "", provides: str = "") -> Manifest:
    return Manifest(name=name, version=version, requires=tuple(requires.split()), provides=tuple(provides.split()))


KNOWN = (
    manifest("queue"),
    manifest("viewer", "1.9.0"),
    manifest("viewer", "1.10.0"),
    manifest("datastore", provides="storing"),
    manifest("writer", requires="storing"),
    manifest("statistics"),
)

TEXT = """
[features]
basis = ["statistics"]
viewing = ["basis", "viewer", "datastore"]

[[rules]]
target = "felix@1"
install = ["viewing"]
[[rules]]
target = "felix@*"
install = ["queue", "basis"]
[[rules]]
target = "celix@[12]"
install = ["viewer@1.9.0"]
"""


@pytest.mark.parametrize(
    ("target", "bundles"),
    [
        pytest.param(
            "felix@1", "statistics-1.0.0 viewer-1.10.0 datastore-1.0.0", id="features inside features, newest"
        ),
        pytest.param("felix@7", "queue-1.0.0 statistics-1.0.0", id="a glob fits"),
        pytest.param("celix@2", "viewer-1.9.0", id="a version when it shall be that one"),
        pytest.param("celix@3", "", id="no rule, no bundles"),
        pytest.param("FELIX@1", "", id="case counts"),
    ],
)
def test_first_rule_that_fits_decides(target: str, bundles: str) -> None:
    assert gives(version_of(TEXT, KNOWN), target) == bundles.split()


def rule(*install: str, features: str = "") -> str:
    return f'[features]\n{features}\n[[rules]]\ntarget = "a"\ninstall = [{", ".join(map(repr, install))}]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("rules = ]", "line 1", id="not TOML: the line"),
        pytest.param("", "required field `rules`", id="no rules at all"),
        pytest.param(rule("queue") + "instal = []", "unknown field `instal` - at `$.rules[0]`", id="an unknown field"),
        pytest.param("colour = 1\n" + rule("queue"), "unknown field `colour`", id="an unknown section"),
        pytest.param(
            rule("veiwer"),
            "rule 'a': no bundle, feature or distribution 'veiwer' (did you mean 'viewer'?)",
            id="nearest",
        ),
        pytest.param(
            rule("zzz"), "(known: datastore, queue, statistics, viewer, writer)", id="nothing near: all known"
        ),
        pytest.param(rule("viewer@1.9"), "no version '1.9' of bundle 'viewer' (did you mean '1.9.0'?)", id="version"),
        pytest.param(
            rule("f@1.0.0", features='f = ["queue"]'),
            "no bundle 'f'",
            id="features have no version",
        ),
        pytest.param(
            rule("queue", features='f = ["quueue"]'),
            "feature 'f': no bundle, feature or distribution 'quueue'",
            id="unused too",
        ),
        pytest.param(
            rule("queue", features='queue = ["viewer"]'), "name of a bundle", id="a feature named as a bundle"
        ),
        pytest.param(rule("viewer", "viewer@1.9.0"), "viewer-1.10.0 and viewer-1.9.0", id="two versions of one"),
        pytest.param(rule("a", features='a = ["a"]'), "in a circle: a → a", id="a feature that contains itself"),
        pytest.param(
            rule("b", features='a = ["b"]\nb = ["c"]\nc = ["a"]'), "in a circle: a → b → c → a", id="a circle"
        ),
        pytest.param(rule("writer"), "writer-1.0.0 requires 'storing', which no bundle beside it", id="requirement"),
    ],
)
def test_what_is_wrong_is_refused_and_named(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_mapping(text, KNOWN, source="m.toml")
    assert str(refused.value).startswith("m.toml: ")
    assert words in str(refused.value)


def test_providers_start_before_those_that_require_them() -> None:
    assert gives(version_of(rule("writer", "datastore"), KNOWN), "a") == ["datastore-1.0.0", "writer-1.0.0"]


def test_features_that_multiply_stay_small() -> None:
    doubling = "\n".join(f'f{i} = ["f{i - 1}", "f{i - 1}"]' for i in range(1, 60))
    text = rule("f59", features=f'f0 = ["queue"]\n{doubling}')
    assert gives(version_of(text, KNOWN), "a") == ["queue-1.0.0"]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("felix@1", {"viewer", "coordinator", "datastore", "accounting", "statistics"}),
        ("felix@2", {"queue", "statistics"}),
        ("celix@1", {"producer", "statistics"}),
        ("producer@2", {"producer", "statistics"}),
        ("celix@2", {"processor_native", "statistics"}),
        ("celix@17", {"processor_native", "statistics"}),
        ("felix@3", {"processor", "statistics"}),
        ("other@1", {"statistics"}),
    ],
)
def test_shipped_mapping_gives_the_demonstrator_to_its_agents(target: str, names: set[str]) -> None:
    text = (files("inaetics.demonstrator") / "mapping.toml").read_text()
    paths = sorted((_demonstrator() / "bundles").glob("*/bundle.json"))
    bundles = [read_manifest(path.read_bytes(), source=str(path)) for path in paths]
    assert {key.rpartition("-")[0] for key in gives(version_of(text, bundles), target)} == names


def _demonstrator() -> pathlib.Path:
    return pathlib.Path(next(iter(inaetics.demonstrator.__path__)))
