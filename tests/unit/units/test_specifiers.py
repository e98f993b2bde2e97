"""Specifiers, with the meanings of systemd."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from inaetics.errors import UnitFileError
from inaetics.units.names import parse_name
from inaetics.units.specifiers import ANYWHERE, MEANINGS, escape, expand, expand_unplaced
from tests.unit.units import strategies

INSTANCE = parse_name("felix@1.service")
PLAIN = parse_name("etcd-a.service")
ESCAPED = parse_name(r"back-up\x2da@srv-data\x20x.service")
HERE = replace(ANYWHERE, machine_id="0123abcd", name="worker-4.lab")


@pytest.mark.parametrize(
    ("text", "instance", "plain", "escaped"),
    [
        ("%n", "felix@1.service", "etcd-a.service", r"back-up\x2da@srv-data\x20x.service"),
        ("%N", "felix@1", "etcd-a", r"back-up\x2da@srv-data\x20x"),
        ("%p", "felix", "etcd-a", r"back-up\x2da"),
        ("%P", "felix", "etcd/a", "back/up-a"),
        ("%i", "1", "", r"srv-data\x20x"),
        ("%I", "1", "", "srv/data x"),
        ("%j", "felix", "a", r"up\x2da"),
        ("%J", "felix", "a", "up-a"),
        ("%f", "/1", "/etcd/a", "/srv/data x"),
        ("100%%", "100%", "100%", "100%"),
        ("%%i", "%i", "%i", "%i"),
        ("%%%i", "%1", "%", r"%srv-data\x20x"),
        ("a-%p-%i.", "a-felix-1.", "a-etcd-a-.", r"a-back-up\x2da-srv-data\x20x."),
        ("plain", "plain", "plain", "plain"),
    ],
)
def test_stand_for_what_the_name_says(text: str, instance: str, plain: str, escaped: str) -> None:
    assert expand(text, name=INSTANCE) == instance
    assert expand(text, name=PLAIN) == plain
    assert expand(text, name=ESCAPED) == escaped
    assert expand_unplaced(text, name=ESCAPED) == escaped


@pytest.mark.parametrize(
    ("text", "stands_for"),
    [
        ("%m", "0123abcd"),
        ("%H", "worker-4.lab"),
        ("%l", "worker-4"),
        ("%b", "0" * 32),
        ("%v", "6"),
        ("%t %S %C %L %E", "/run /var/lib /var/cache /var/log /etc"),
        ("%T %V", "/tmp /var/tmp"),
        ("%u %U %g %G %h %s", "root 0 root 0 /root /bin/sh"),
    ],
)
def test_stand_for_what_the_host_says(text: str, stands_for: str) -> None:
    assert expand(text, name=INSTANCE, host=HERE) == stands_for
    with pytest.raises(UnitFileError, match="no machine is chosen yet"):
        expand_unplaced(text, name=INSTANCE)


def test_a_slash_alone_is_the_root() -> None:
    assert expand("%f", name=parse_name("mount@-.service")) == "/"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param(r"a@b\.service", "%I", r"must begin \\xHH", id="half-an-escape"),
        pytest.param(r"a@\xff.service", "%I", "no UTF-8", id="no-text"),
        pytest.param(r"a@\x00.service", "%I", "NUL", id="a-nul"),
        pytest.param(r"a\xZZ.service", "%P", r"must begin \\xHH", id="a-prefix"),
        pytest.param("a@b--c.service", "%f", "no escaped path", id="an-empty-part"),
        pytest.param("a@..-etc.service", "%f", "no escaped path", id="two-dots"),
    ],
)
def test_what_cannot_be_unescaped_is_an_error(name: str, text: str, words: str) -> None:
    with pytest.raises(UnitFileError, match=words):
        expand(text, name=parse_name(name))


def test_every_one_that_the_reference_names_is_known() -> None:
    for specifier in MEANINGS:
        expand(specifier, name=INSTANCE)


@pytest.mark.parametrize("text", ["%q", "%", "100%", "% i", "%\n", "%d"])
def test_others_are_errors(text: str) -> None:
    with pytest.raises(UnitFileError, match="unknown specifier"):
        expand(text, name=INSTANCE)


@given(strategies.words)
def test_escaped_text_comes_back(text: str) -> None:
    assert expand(escape(text), name=INSTANCE) == text
