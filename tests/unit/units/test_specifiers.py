"""Specifiers, with the meanings of systemd."""

from __future__ import annotations

import pytest
from hypothesis import given

from inaetics.errors import UnitFileError
from inaetics.units.names import parse_name
from inaetics.units.specifiers import MEANINGS, escape, expand, expand_unplaced
from tests.unit.units import strategies

INSTANCE = parse_name("felix@1.service")
PLAIN = parse_name("etcd-a.service")


@pytest.mark.parametrize(
    ("text", "instance", "plain"),
    [
        ("%n", "felix@1.service", "etcd-a.service"),
        ("%N", "felix@1", "etcd-a"),
        ("%p", "felix", "etcd-a"),
        ("%i", "1", ""),
        ("%m", "0123abcd", "0123abcd"),
        ("%H", "worker-4", "worker-4"),
        ("100%%", "100%", "100%"),
        ("%%i", "%i", "%i"),
        ("%%%i", "%1", "%"),
        ("a-%p-%i.", "a-felix-1.", "a-etcd-a-."),
        ("plain", "plain", "plain"),
    ],
)
def test_stand_for(text: str, instance: str, plain: str) -> None:
    assert expand(text, name=INSTANCE, machine_id="0123abcd", host_name="worker-4") == instance
    assert expand(text, name=PLAIN, machine_id="0123abcd", host_name="worker-4") == plain


def test_every_one_that_the_reference_names_is_known() -> None:
    for specifier in MEANINGS:
        expand(specifier, name=INSTANCE)


@pytest.mark.parametrize("text", ["%q", "%", "100%", "% i", "%\n", "%I"])
def test_others_are_errors(text: str) -> None:
    with pytest.raises(UnitFileError, match="unknown specifier"):
        expand(text, name=INSTANCE)


@pytest.mark.parametrize("text", ["%m", "%H"])
def test_a_machine_is_not_known_before_there_is_one(text: str) -> None:
    with pytest.raises(UnitFileError, match="no machine is chosen yet"):
        expand_unplaced(text, name=INSTANCE)
    assert expand_unplaced("%p@%i", name=INSTANCE) == "felix@1"


@given(strategies.words)
def test_escaped_text_comes_back(text: str) -> None:
    assert expand(escape(text), name=INSTANCE) == text
