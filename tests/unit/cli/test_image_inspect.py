"""What `inaetics image inspect` makes of names, histories and units."""

from __future__ import annotations

import pytest

from inaetics.cli.image_inspect import is_of, layer_steps, repository_and_tag
from inaetics.cli.image_list import _units
from inaetics.cli.image_use import Use
from inaetics.containers.registry import RemoteImage

DIGEST = f"sha256:{'1' * 64}"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("felix-agent", ("inaetics/felix-agent", "latest")),
        ("felix-agent:java", ("inaetics/felix-agent", "java")),
        ("site/mine:1.2", ("site/mine", "1.2")),
        (f"felix-agent@{DIGEST}", ("inaetics/felix-agent", DIGEST)),
        ("127.0.0.1:5000/inaetics/x", ("127.0.0.1:5000/inaetics/x", "latest")),
    ],
)
def test_a_name_is_a_repository_and_a_tag(name: str, meant: tuple[str, str]) -> None:
    assert repository_and_tag(name) == meant


@pytest.mark.parametrize(
    ("image", "reference", "same"),
    [
        ("${INAETICS_REGISTRY}/inaetics/felix-agent:latest", "inaetics/felix-agent:latest", True),
        ("${INAETICS_REGISTRY}/inaetics/felix-agent", "inaetics/felix-agent:latest", True),
        ("127.17.8.2:5000/inaetics/felix-agent:java", "inaetics/felix-agent:latest", False),
        ("127.17.8.2:5000/inaetics/my-felix-agent", "inaetics/felix-agent:latest", False),
        (f"127.17.8.2:5000/inaetics/felix-agent@{DIGEST}", "inaetics/felix-agent:latest", True),
        ("127.17.8.2:5000/inaetics/felix-agent:1", f"inaetics/felix-agent@{DIGEST}", True),
        ("127.17.8.2:5000/other/agent", "inaetics/agent:latest", False),
    ],
)
def test_which_units_are_of_an_image(image: str, reference: str, same: bool) -> None:
    assert is_of(image, reference) is same


def test_a_layers_step_is_told_without_the_engines_own_words() -> None:
    history = [
        {"created_by": "Debian packages"},
        {"created_by": "/bin/sh -c #(nop) ENV A=b", "empty_layer": True},
        {"created_by": "/bin/sh -c #(nop) COPY file:00   in /x "},
    ]
    assert layer_steps({"history": history}) == ["Debian packages", "COPY file:00 in /x"]
    assert layer_steps({}) == []


def test_templates_are_not_counted_among_the_units_of_an_image() -> None:
    name = "${INAETICS_REGISTRY}/inaetics/felix-agent:latest"
    newest, before = f"sha256:{'2' * 64}", DIGEST
    image = RemoteImage(repository="inaetics/felix-agent", tag="latest", digest=newest, identity="", size=1)
    used = [
        Use(unit="felix@.service", image=name),
        Use(unit="felix@1.service", image=name, keeps=newest),
        Use(unit="felix@2.service", image=name, keeps=before),
    ]
    assert _units(image, used) == {"units": 2, "older": 1}
    assert _units(image, None) == {"units": None, "older": None}
