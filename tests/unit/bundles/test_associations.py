"""Distributions, metadata, locks, held targets, exclusive capabilities: who gets what, and what a change changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.bundles.archive import Archive
from inaetics.bundles.changes import changes
from inaetics.bundles.given import given as given_by
from inaetics.bundles.given import read_version, used, why
from inaetics.bundles.manifest import Manifest, read_manifest
from inaetics.bundles.mapping import parse_mapping
from inaetics.bundles.records import Held, Version, check_target
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve, resolved
from inaetics.errors import InvalidInput, NotFound
from inaetics.node.plan import plan
from tests.support.versions import artifact_of, gives, version_of

A1, A2, B, C = (Manifest(name=n, version=v) for n, v in (("a", "1.0"), ("a", "1.10"), ("b", "1.0"), ("c", "1.0")))
KNOWN = (A1, A2, B, C)

ZONES = """
[features]
f = ["a"]
g = ["f", "b"]
[distributions]
d = ["f", "g"]
[targets."x@1"]
zone = "north"
kind = "new"
[targets."x@2"]
zone = "east"
[[rules]]
where = {zone = ["north", "east"], kind = "new"}
install = ["d"]
[[rules]]
target = "x@*"
where = {zone = "east"}
install = ["c"]
[[rules]]
target = "x@*"
install = ["b"]
"""


@pytest.mark.parametrize(
    ("target", "bundles", "reason"),
    [
        pytest.param(
            "x@1", ["a-1.10", "b-1.0"], "rule '*' where zone=north|east, kind=new", id="all keys, one of the values"
        ),
        pytest.param("x@2", ["c-1.0"], "rule 'x@*' where zone=east", id="name and metadata"),
        pytest.param("x@3", ["b-1.0"], "rule 'x@*'", id="without metadata only rules that ask for none"),
        pytest.param("y", [], "no rule fits", id="no rule fits"),
    ],
)
def test_rules_ask_for_names_and_metadata(target: str, bundles: list[str], reason: str) -> None:
    version = version_of(ZONES, KNOWN)
    assert gives(version, target) == bundles
    assert why(version, target) == reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            ZONES.replace('where = {zone = "east"}', 'where = {zon = "east"}'),
            "no target has 'zon' (did you mean 'zone'?)",
            id="metadata nobody has",
        ),
        pytest.param(
            ZONES.replace('d = ["f", "g"]', 'd = ["f", "h"]'), "distribution 'd': no feature 'h'", id="no feature"
        ),
        pytest.param(
            ZONES.replace('d = ["f", "g"]', 'd = ["a"]'),
            "distribution 'd': no feature 'a'",
            id="a bundle is no feature",
        ),
        pytest.param(
            ZONES.replace('d = ["f", "g"]', 'f = ["g"]'), "distribution 'f' has the name of a feature", id="one name"
        ),
        pytest.param(
            ZONES.replace('f = ["a"]', 'f = ["d"]'),
            "'d' is a distribution: features hold",
            id="a feature of distributions",
        ),
        pytest.param("within_s = 0\n" + ZONES, "within_s", id="no time to start"),
        pytest.param(
            ZONES.replace('kind = "new"\n[targets', "kind = 1\n[targets"), "Expected `str`", id="metadata are words"
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    assert text != ZONES
    with pytest.raises(InvalidInput) as refused:
        parse_mapping(text, KNOWN)
    assert words in str(refused.value)


def test_names_mean_the_newest_once_and_then_what_they_meant() -> None:
    text = '[[rules]]\ninstall = ["a", "b@1.0"]'
    old = parse_mapping(text, (A1, B))
    assert old.lock == {"a": "1.0"}, "what has a version needs no lock"
    assert gives(version_of(text, KNOWN), "x") == ["a-1.10", "b-1.0"]
    assert gives(version_of(text, KNOWN, lock=old.lock), "x") == ["a-1.0", "b-1.0"]
    with pytest.raises(InvalidInput, match=r"no version '0\.9' of bundle 'a'"):
        parse_mapping(text, KNOWN, lock={"a": "0.9"})


def test_a_held_target_follows_no_rule() -> None:
    """Nor does it follow what takes the place of its archives: it has its own."""
    held = {"x@3": Held(version=1, bundles=("a@1.0", "c@1.0"), archives={"a@1.0": "1" * 64, "c@1.0": "2" * 64})}
    version = version_of(ZONES, KNOWN, held=held)
    assert [(each.key, each.sha256) for each in given_by(version, "x@3")] == [("a@1.0", "1" * 64), ("c@1.0", "2" * 64)]
    assert why(version, "x@3") == "held at version 1"
    assert {each.key for each in used(version)} == {"a@1.0", "a@1.10", "b@1.0", "c@1.0"}
    assert {each.sha256 for each in used(version) if each.key == "c@1.0"} == {"2" * 64, artifact_of(C).sha256}


def test_a_version_keeps_the_archives_it_is_pinned_to() -> None:
    """Whatever takes their place, also in which order bundles start."""
    old, new = artifact_of(Manifest(name="a", version="1.0", requires=("b",))), artifact_of(A1, "new")
    repository = Repository.of([new, artifact_of(B)], replaced=[old])
    version = Version(version=1, text='[[rules]]\ninstall = ["a", "b"]')
    newest = resolve(version, repository)
    assert (gives(newest, "x"), newest.archives["a@1.0"]) == (["a-1.0", "b-1.0"], new.sha256)
    pinned = resolve(version, repository, pins={"a@1.0": old.sha256})
    assert (gives(pinned, "x"), pinned.archives["a@1.0"]) == (["b-1.0", "a-1.0"], old.sha256)
    assert resolved(pinned, Repository.of([new])) == pinned, "a record that says everything needs nothing else"
    with pytest.raises(NotFound, match=r"the archive of bundle a-1\.0 with sha256 0000"):
        resolve(version, repository, pins={"a@1.0": "0" * 64})


def test_a_record_of_older_software_means_the_archives_there_are() -> None:
    value = {"version": 3, "text": '[[rules]]\ninstall = ["a"]', "lock": {"a": "1.0"}}
    held = {"x": {"version": 2, "bundles": ["b@1.0"]}}
    version = read_version(json.dumps(value | {"held": held}).encode())
    found = resolved(version, Repository.of(map(artifact_of, KNOWN)))
    assert [(each.key, each.sha256) for each in given_by(found, "y")] == [("a@1.0", artifact_of(A1).sha256)]
    assert [(each.key, each.sha256) for each in given_by(found, "x")] == [("b@1.0", artifact_of(B).sha256)]
    with pytest.raises(InvalidInput, match=r"target 'x', held: there is no bundle b@1\.0"):
        resolved(version, Repository.of(map(artifact_of, (A1,))))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(b"{", "cannot be read", id="no JSON"),
        pytest.param(
            b'{"version": 3, "text": "", "rules": [{"target": "x", "bundles": ["a@1"]}]}',
            "version 3 names no archive of a@1",
            id="a rule without its archive",
        ),
        pytest.param(
            b'{"version": 3, "text": "", "rules": [], "held": {"x": {"version": 1, "bundles": ["a@1"]}}}',
            "version 3 names no archive of a@1",
            id="a held target without its archive",
        ),
    ],
)
def test_a_record_that_does_not_say_everything_is_refused(value: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_version(value)


def test_of_something_exclusive_there_is_one_provider() -> None:
    page = Manifest(name="page", version="1.0", provides=("root",), exclusive=("root",))
    other = Manifest(name="other", version="1.0", provides=("root",))
    assert gives(version_of('[[rules]]\ninstall = ["page"]', (page, other)), "x") == ["page-1.0"]
    with pytest.raises(InvalidInput, match=r"page-1\.0 and other-1\.0 both provide 'root'"):
        parse_mapping('[[rules]]\ninstall = ["other", "page"]', (page, other))
    with pytest.raises(InvalidInput, match="exclusive names 'roof', which is not among"):
        read_manifest(json.dumps({"name": "p", "version": "1.0", "exclusive": ["roof"]}).encode(), source="m")


def test_a_change_says_what_comes_goes_and_differs() -> None:
    before = version_of('[[rules]]\ntarget = "x"\ninstall = ["a@1.0", "b"]', KNOWN)
    after = version_of('[[rules]]\ntarget = "x"\ninstall = ["a", "c"]', KNOWN)
    found, other = changes(before, after, ["y"])
    assert (found.target, found.added, found.removed, found.changed, found.kept) == (
        "x",
        ("c@1.0",),
        ("b@1.0",),
        (("a", "1.0", "1.10"),),
        0,
    )
    assert (other.target, other.empty, other.why) == ("y", True, "no rule fits")


def test_a_change_has_its_steps_in_the_order_in_which_an_agent_takes_them() -> None:
    page = Manifest(name="page", version="1.0", requires=("b", "c"))
    bundles = (*KNOWN, page)
    before = version_of('[[rules]]\ntarget = "x"\ninstall = ["a@1.0", "b"]', bundles)
    after = version_of('[[rules]]\ntarget = "x"\ninstall = ["page", "c", "b", "a"]', bundles)
    (there,), (back,) = changes(before, after, ["x"]), changes(after, before, ["x"])
    assert (there.starts, there.stops) == (("c@1.0", "page@1.0", "a@1.10"), ("a@1.0",))
    assert (back.starts, back.stops) == (("a@1.0",), ("a@1.10", "page@1.0", "c@1.0"))
    archives = [
        [
            Archive(
                path=Path(), manifest=next(m for m in bundles if m.name_and_version == b.key), sha256=b.sha256, size=0
            )
            for b in given_by(version, "x")
        ]
        for version in (before, after)
    ]
    steps = plan(*archives)
    assert tuple(each.manifest.name_and_version for each in steps.start) == there.starts
    assert tuple(each.manifest.name_and_version for each in steps.stop) == there.stops


def test_a_change_of_an_archive_alone_is_a_change() -> None:
    text = '[[rules]]\ninstall = ["a@1.0"]'
    before = resolve(Version(version=1, text=text), Repository.of([artifact_of(A1)]))
    after = resolve(Version(version=2, text=text), Repository.of([artifact_of(A1, "new")]))
    (found,) = changes(before, after, ["x"])
    old, new = (artifact_of(A1, content).sha256[:8] for content in ("", "new"))
    assert (found.changed, found.kept) == ((("a", f"1.0 ({old})", f"1.0 ({new})"),), 0)


names = st.sampled_from(["a", "a@1.0", "b", "c"])
mappings = st.lists(st.tuples(st.sampled_from(["x", "y", "*"]), st.sets(names.filter(lambda n: n != "a"))), max_size=4)


@given(mappings, mappings)
def test_a_plan_applied_to_what_was_gives_what_is(
    one: list[tuple[str, set[str]]], two: list[tuple[str, set[str]]]
) -> None:
    before, after = (version_of(_text(rules), KNOWN) for rules in (one, two))
    for change in changes(before, after, ["x", "y", "z"]):
        has = {bundle.name: bundle.version for bundle in given_by(before, change.target)}
        for name in change.removed:
            del has[name.partition("@")[0]]
        for name, old, new in change.changed:
            assert has[name] == old
            has[name] = new
        has |= dict(_split(name) for name in change.added)
        assert has == {bundle.name: bundle.version for bundle in given_by(after, change.target)}


@given(mappings)
def test_a_mapping_with_its_own_lock_is_the_same_whatever_is_pushed_later(rules: list[tuple[str, set[str]]]) -> None:
    first = version_of(_text(rules), (A1, B, C))
    later = version_of(_text(rules), (*KNOWN, Manifest(name="b", version="2.0")), lock=first.lock)
    assert [gives(later, target) for target in "xyz"] == [gives(first, target) for target in "xyz"]
    assert later.lock == first.lock


@pytest.mark.parametrize("text", ["", "../x", "a/b", "a b", "x" * 101, ".x", "ä"])
def test_a_target_is_part_of_a_key(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no target"):
        check_target(text)


def _text(rules: list[tuple[str, set[str]]]) -> str:
    parts = [f'[[rules]]\ntarget = "{target}"\ninstall = {json.dumps(sorted(install))}' for target, install in rules]
    return "\n".join(parts) or "rules = []"


def _split(text: str) -> tuple[str, str]:
    name, _, version = text.partition("@")
    return name, version
