"""[X-Fleet]: today's options, the original's spellings, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units.fleet_section import OLD_SPELLINGS, OPTIONS, FleetSection, fleet_section
from inaetics.units.grammar import Option, from_options, parse
from inaetics.units.names import parse_name

FELIX = parse_name("felix@1.service")


def read(lines: str) -> FleetSection:
    return fleet_section(parse(f"[Service]\nExecStart=/bin/true\n[X-Fleet]\n{lines}"), FELIX)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param("", {}, id="nothing asked"),
        pytest.param("MachineID=abc", {"machine_id": "abc"}, id="one machine"),
        pytest.param("MachineOf=a.service", {"machine_of": ("a.service",)}, id="with another unit"),
        pytest.param(
            "MachineOf=b a@%i", {"machine_of": ("a@1.service", "b.service")}, id="what is left out is completed"
        ),
        pytest.param("Conflicts=felix@*.service", {"conflicts": ("felix@*.service",)}, id="a glob"),
        pytest.param(
            "Conflicts=b.service\nConflicts=%p@*.service a.service",
            {"conflicts": ("a.service", "b.service", "felix@*.service")},
            id="several globs, in any order",
        ),
        pytest.param("Conflicts=a.container", {"conflicts": ("a.service",)}, id="a container file's unit"),
        pytest.param("Conflicts=a\nConflicts=\nConflicts=b", {"conflicts": ("b",)}, id="an empty value begins again"),
        pytest.param("Replaces=old@*.service", {"replaces": ("old@*.service",)}, id="replaces"),
        pytest.param("Global=true", {"is_global": True}, id="everywhere"),
        pytest.param("Global=yes\nGlobal=no", {"is_global": False}, id="the last one counts"),
        pytest.param("OnLost=stop", {"on_lost": "stop"}, id="stop when lost"),
        pytest.param(
            "MachineMetadata=role=agent disk=ssd\nMachineMetadata=disk=nvme",
            {"metadata": {"role": frozenset({"agent"}), "disk": frozenset({"ssd", "nvme"})}},
            id="keys must all match, values of a key are alternatives",
        ),
        pytest.param(
            'MachineMetadata="role=an agent"',
            {"metadata": {"role": frozenset({"an agent"})}},
            id="quotes hold a value with blanks",
        ),
        pytest.param("MachineMetadata=url=a=b", {"metadata": {"url": frozenset({"a=b"})}}, id="the first = counts"),
        pytest.param("X-Conflicts=felix@*.service", {"conflicts": ("felix@*.service",)}, id="old: conflicts"),
        pytest.param("X-ConditionMachineID=abc", {"machine_id": "abc"}, id="old: machine"),
        pytest.param("X-ConditionMachineOf=a.service", {"machine_of": ("a.service",)}, id="old: with another unit"),
        pytest.param(
            'X-ConditionMachineMetadata="role=inaetics-agent" "disk=ssd"',
            {"metadata": {"role": frozenset({"inaetics-agent"}), "disk": frozenset({"ssd"})}},
            id="old: metadata, quoted",
        ),
        pytest.param("Conflicts=a\nX-Conflicts=b", {"conflicts": ("a", "b")}, id="old and new together"),
    ],
)
def test_reads(lines: str, expected: dict[str, Any]) -> None:
    assert read(lines) == FleetSection(**expected)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param(
            "MachineMetaData=a=b", r"no option MachineMetaData= \(did you mean MachineMetadata=\?\)", id="nearest"
        ),
        pytest.param("Frobnicate=1", r"no option Frobnicate=$", id="nothing near"),
        pytest.param("MachineMetadata=role", "no metadata", id="metadata without a value"),
        pytest.param("MachineMetadata==agent", "no metadata", id="metadata without a key"),
        pytest.param("MachineMetadata=cpu>=4", "there is no comparing", id="metadata that compares"),
        pytest.param("MachineMetadata='a=b", "not closed", id="an open quote"),
        pytest.param("MachineID=a b", "names several machines", id="two machines"),
        pytest.param("MachineOf=a@.service", "template", id="the machine of a template"),
        pytest.param("MachineOf=a/b", "no unit name", id="the machine of no unit"),
        pytest.param("Memory=much", "no size in bytes", id="memory that is no size"),
        pytest.param("Memory=0", "no need of memory", id="no memory"),
        pytest.param("Memory=infinity", "no need of memory", id="all memory"),
        pytest.param("Memory=5E", "more memory than any machine has", id="more memory than there is"),
        pytest.param("CPU=all", "no number of cores", id="cores that are no number"),
        pytest.param("CPU=0", "no number of cores", id="no core"),
        pytest.param("CPU=5000", "more cores than any machine has", id="more cores than there are"),
        pytest.param("SpreadBy=a=b", "no metadata key", id="a spread by no key"),
        pytest.param("MachineOf=a@%m", "no machine is chosen yet", id="the machine is not known yet"),
        pytest.param("Conflicts=%q", "unknown specifier", id="an unknown specifier"),
        pytest.param("Conflicts=felix@[0-9", "bracket is not closed", id="no glob"),
        pytest.param("Global=maybe", "neither yes nor no", id="neither yes nor no"),
        pytest.param("OnLost=restart", "neither keep nor stop", id="neither keep nor stop"),
        pytest.param("MachineBootID=abc", "use MachineID=", id="boot ids"),
    ],
)
def test_refuses_with_the_line(lines: str, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        read(lines)
    assert caught.value.line == 4
    assert "line 4: [X-Fleet] " in str(caught.value)


def test_every_spelling_is_of_an_option_that_exists() -> None:
    assert set(OLD_SPELLINGS.values()) <= set(OPTIONS)
    assert not set(OLD_SPELLINGS) & set(OPTIONS)


def test_values_cannot_be_changed() -> None:
    section = read("MachineMetadata=a=b")
    with pytest.raises(TypeError):
        section.metadata["a"] = frozenset()  # type: ignore[index]


ASSIGNMENTS = st.sampled_from(
    [
        ("Conflicts", "a@*.service"),
        ("X-Conflicts", "b.service c.service"),
        ("MachineMetadata", "y=2 x=1"),
        ("X-ConditionMachineMetadata", '"x=3"'),
        ("MachineOf", "d.service"),
        ("Replaces", "e.service"),
        ("Global", "no"),
    ]
)


@given(st.lists(ASSIGNMENTS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_options_does_not_matter(pairs: list[tuple[str, str]], random: Any) -> None:
    shuffled = random.sample(pairs, len(pairs))
    given_order, other = (
        fleet_section(from_options(Option("X-Fleet", name, value) for name, value in order), FELIX)
        for order in (pairs, shuffled)
    )
    assert given_order == other
    assert list(given_order.metadata) == list(other.metadata)
