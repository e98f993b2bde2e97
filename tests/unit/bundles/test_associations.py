"""Distributions, metadata, locks, held targets, exclusive capabilities: who gets what, and what a change changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.bundles.changes import changes
from inaetics.bundles.manifest import Manifest, read_manifest
from inaetics.bundles.mapping import Mapping, parse_mapping
from inaetics.bundles.records import Held, check_target
from inaetics.errors import InvalidInput

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


def keys(mapping: Mapping, target: str) -> list[str]:
    return [bundle.key for bundle in mapping.bundles_for(target)]


@pytest.mark.parametrize(
    ("target", "bundles", "why"),
    [
        pytest.param(
            "x@1", ["a-1.10", "b-1.0"], "'*' where zone=north|east, kind=new", id="all keys, one of the values"
        ),
        pytest.param("x@2", ["c-1.0"], "'x@*' where zone=east", id="name and metadata"),
        pytest.param("x@3", ["b-1.0"], "'x@*'", id="without metadata only rules that ask for none"),
        pytest.param("y", [], "", id="no rule fits"),
    ],
)
def test_rules_ask_for_names_and_metadata(target: str, bundles: list[str], why: str) -> None:
    mapping = parse_mapping(ZONES, KNOWN)
    assert keys(mapping, target) == bundles
    rule = mapping.rule_for(target)
    assert (rule.name if rule else "") == why


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
    assert keys(parse_mapping(text, KNOWN), "x") == ["a-1.10", "b-1.0"]
    assert keys(parse_mapping(text, KNOWN, lock=old.lock), "x") == ["a-1.0", "b-1.0"]
    with pytest.raises(InvalidInput, match=r"no version '0\.9' of bundle 'a'"):
        parse_mapping(text, KNOWN, lock={"a": "0.9"})


def test_a_held_target_follows_no_rule() -> None:
    held = {"x@3": Held(version=1, bundles=("a@1.0", "c@1.0"))}
    mapping = parse_mapping(ZONES, KNOWN, held=held)
    assert keys(mapping, "x@3") == ["a-1.0", "c-1.0"]
    assert {bundle.key for bundle in mapping.used} == {"a-1.0", "a-1.10", "b-1.0", "c-1.0"}
    with pytest.raises(InvalidInput, match="target 'x@3', held: no version '9'"):
        parse_mapping(ZONES, KNOWN, held={"x@3": Held(version=1, bundles=("a@9",))})


def test_of_something_exclusive_there_is_one_provider() -> None:
    page = Manifest(name="page", version="1.0", provides=("root",), exclusive=("root",))
    other = Manifest(name="other", version="1.0", provides=("root",))
    assert keys(parse_mapping('[[rules]]\ninstall = ["page"]', (page, other)), "x") == ["page-1.0"]
    with pytest.raises(InvalidInput, match=r"page-1\.0 and other-1\.0 both provide 'root'"):
        parse_mapping('[[rules]]\ninstall = ["other", "page"]', (page, other))
    with pytest.raises(InvalidInput, match="exclusive names 'roof', which is not among"):
        read_manifest(json.dumps({"name": "p", "version": "1.0", "exclusive": ["roof"]}).encode(), source="m")


def test_a_change_says_what_comes_goes_and_differs() -> None:
    before = parse_mapping('[[rules]]\ntarget = "x"\ninstall = ["a@1.0", "b"]', KNOWN)
    after = parse_mapping('[[rules]]\ntarget = "x"\ninstall = ["a", "c"]', KNOWN)
    found, other = changes(before, after, ["y"])
    assert (found.target, found.added, found.removed, found.changed, found.kept) == (
        "x",
        ("c@1.0",),
        ("b@1.0",),
        (("a", "1.0", "1.10"),),
        0,
    )
    assert (other.target, other.empty, other.why) == ("y", True, "no rule fits")


names = st.sampled_from(["a", "a@1.0", "b", "c"])
mappings = st.lists(st.tuples(st.sampled_from(["x", "y", "*"]), st.sets(names.filter(lambda n: n != "a"))), max_size=4)


@given(mappings, mappings)
def test_a_plan_applied_to_what_was_gives_what_is(
    one: list[tuple[str, set[str]]], two: list[tuple[str, set[str]]]
) -> None:
    before, after = (parse_mapping(_text(rules), KNOWN) for rules in (one, two))
    for change in changes(before, after, ["x", "y", "z"]):
        has = {bundle.name: bundle.version for bundle in before.bundles_for(change.target)}
        for name in change.removed:
            del has[name.partition("@")[0]]
        for name, old, new in change.changed:
            assert has[name] == old
            has[name] = new
        has |= dict(_split(name) for name in change.added)
        assert has == {bundle.name: bundle.version for bundle in after.bundles_for(change.target)}


@given(mappings)
def test_a_mapping_with_its_own_lock_is_the_same_whatever_is_pushed_later(rules: list[tuple[str, set[str]]]) -> None:
    first = parse_mapping(_text(rules), (A1, B, C))
    later = parse_mapping(_text(rules), (*KNOWN, Manifest(name="b", version="2.0")), lock=first.lock)
    assert [later.bundles_for(target) for target in "xyz"] == [first.bundles_for(target) for target in "xyz"]
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
