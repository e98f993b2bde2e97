"""Names of units, of the files that hold them, and what people may write for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import InvalidInput
from inaetics.units.names import (
    MAX_EXPANDED,
    MAX_NAME_CHARS,
    Name,
    complete_name,
    expand_ranges,
    parse_name,
    unit_name_of_file,
)
from tests.unit.units import strategies


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("etcd.service", Name("etcd", None, ".service"), id="plain"),
        pytest.param("felix@.service", Name("felix", "", ".service"), id="template"),
        pytest.param("felix@1.service", Name("felix", "1", ".service"), id="instance"),
        pytest.param("a@b@c.service", Name("a", "b@c", ".service"), id="the first @ counts"),
        pytest.param("a.b@1.2.timer", Name("a.b", "1.2", ".timer"), id="dots"),
        pytest.param("multi-user.target", Name("multi-user", None, ".target"), id="target"),
        pytest.param(r"dev-\x2d@a\x2db.service", Name(r"dev-\x2d", r"a\x2db", ".service"), id="systemd's escapes"),
    ],
)
def test_reads(text: str, name: Name) -> None:
    assert parse_name(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("felix", "must end in one of .service", id="no type"),
        pytest.param("felix.serivce", "must end in one of .service", id="an unknown type"),
        pytest.param("felix@1.container", "the unit of a container file is felix@1.service", id="a container file"),
        pytest.param(".service", "letters, digits", id="empty"),
        pytest.param("@1.service", "letters, digits", id="no prefix"),
        pytest.param("a b.service", r"' ' \(U\+0020\) may not stand in one; use letters, digits", id="a space"),
        pytest.param("a/b.service", r"'/' \(U\+002F\) may not", id="a slash"),
        pytest.param("a\n.service", r"'\\n' \(U\+000A\) may not", id="a line end"),
        pytest.param("é.service", r"'é' \(U\+00E9\) may not", id="a letter that is not ASCII"),
        pytest.param("a@é\0.service", r"'é' \(U\+00E9\) may not", id="the first of several"),
        pytest.param("a@{1..4}.service", "letters, digits", id="braces"),
        pytest.param("a" * (MAX_NAME_CHARS - 7) + ".service", "at most 255", id="too long for a file's name"),
    ],
)
def test_refuses(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_name(text)


def test_templates_and_instances() -> None:
    template, instance, plain = (parse_name(text) for text in ("felix@.service", "felix@1.service", "etcd.service"))
    assert (template.is_template, template.is_instance) == (True, False)
    assert (instance.is_template, instance.is_instance) == (False, True)
    assert (plain.is_template, plain.is_instance) == (False, False)
    assert instance.template == template.template == "felix@.service"
    assert template.with_instance("1") == instance
    with pytest.raises(ValueError, match="has no template"):
        _ = plain.template


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        pytest.param("felix@.container", "felix@.service", id="a container is a service"),
        pytest.param("/usr/share/units/etcd.service", "etcd.service", id="folders do not count"),
        pytest.param("a.timer", "a.timer", id="other types stay"),
    ],
)
def test_name_of_the_unit_in_a_file(filename: str, name: str) -> None:
    assert unit_name_of_file(filename) == name


@pytest.mark.parametrize("filename", ["notes.txt", "felix@", ".container", "etcd.service/"])
def test_files_that_are_no_units(filename: str) -> None:
    with pytest.raises(InvalidInput):
        unit_name_of_file(filename)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("felix@1", "felix@1.service"),
        ("felix@1.container", "felix@1.service"),
        ("a.timer", "a.timer"),
        ("a.mount", "a.mount"),
        ("a.mount@1", "a.mount@1.service"),
    ],
)
def test_completes_what_people_leave_out(text: str, name: str) -> None:
    assert complete_name(text) == name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("felix@1", ("felix@1",), id="nothing to expand"),
        pytest.param("felix@{1..3}", ("felix@1", "felix@2", "felix@3"), id="a range"),
        pytest.param("felix@{3..1}", ("felix@3", "felix@2", "felix@1"), id="downwards"),
        pytest.param("felix@{2..2}", ("felix@2",), id="a range of one"),
        pytest.param("w{08..11}", ("w08", "w09", "w10", "w11"), id="leading zeros are kept"),
        pytest.param("{felix,celix}@1", ("felix@1", "celix@1"), id="a list"),
        pytest.param("{a,b}@{1..2}.service", ("a@1.service", "a@2.service", "b@1.service", "b@2.service"), id="both"),
    ],
)
def test_expands_braces(text: str, names: tuple[str, ...]) -> None:
    assert expand_ranges(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "felix@{1..4",
        "felix@1..4}",
        "felix@{}",
        "felix@{1}",
        "felix@{a..c}",
        "felix@{1..-1}",
        f"felix@{{1..{MAX_EXPANDED + 1}}}",
        "a{1..1000}b{1..1000}",
        f"a{{1..{'9' * 5000}}}",
        "{{1,2}}",
    ],
)
def test_refuses_braces_it_does_not_understand(text: str) -> None:
    with pytest.raises(InvalidInput):
        expand_ranges(text)


@given(strategies.names)
def test_a_name_is_read_as_it_was_printed(name: Name) -> None:
    assert parse_name(str(name)) == name


@given(st.text(max_size=20) | st.text("a@.{}1,service", max_size=20))
def test_what_is_read_prints_the_same(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidInput:
        return
    assert str(name) == text


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_range_holds_every_number_once(first: int, last: int) -> None:
    names = expand_ranges(f"a{{{first}..{last}}}")
    assert sorted(int(name[1:]) for name in names) == list(range(min(first, last), max(first, last) + 1))
