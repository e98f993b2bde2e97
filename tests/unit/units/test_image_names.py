"""Which tag a unit follows, and the same image by its digest."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.units.container import ContainerEngine, to_service
from inaetics.units.grammar import parse
from inaetics.units.image_names import OWN_REGISTRY, followed, is_digest, parse_followed, pinned
from inaetics.units.names import parse_name
from inaetics.units.references import split_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4
OWN = f"{OWN_REGISTRY}/inaetics/felix-agent"


@pytest.mark.parametrize(
    ("lines", "name", "tag"),
    [
        (f"Image={OWN}:latest", "felix@1.service", f"{OWN}:latest"),
        (f"Image={OWN}", "felix@1.service", f"{OWN}:latest"),
        (f"Image={OWN}:%i", "felix@1.service", f"{OWN}:1"),
        ("Image=127.17.8.2:5000/some/where/deep:v1.2", "a.service", "127.17.8.2:5000/some/where/deep:v1.2"),
        ("Image=registry.example/x", "a.service", "registry.example/x:latest"),
    ],
)
def test_what_follows_a_tag(lines: str, name: str, tag: str) -> None:
    assert str(followed(parse(f"[Container]\n{lines}\n"), parse_name(name))) == tag


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param(f"Image={OWN}@{DIGEST}", "a.service", id="the file names the digest"),
        pytest.param(f"Image={OWN}:latest@{DIGEST}", "a.service", id="the file names tag and digest"),
        pytest.param(f"Image={OWN}:latest\nPull=never", "a.service", id="no registry is asked"),
        pytest.param("Image=localhost/tiny:latest", "a.service", id="no registry has it"),
        pytest.param("Image=tiny:latest", "a.service", id="no registry is named"),
        pytest.param(f"Image={OWN}:%H", "a.service", id="each machine has its own"),
        pytest.param(f"Image={OWN}:latest", "felix@.service", id="a template never runs"),
    ],
)
def test_what_follows_none(lines: str, name: str) -> None:
    assert followed(parse(f"[Container]\n{lines}\n"), parse_name(name)) is None


def test_a_service_follows_none() -> None:
    assert followed(parse("[Service]\nExecStart=/bin/true\n"), parse_name("a.service")) is None


@pytest.mark.parametrize(
    ("image", "same"),
    [
        (f"{OWN}:latest", f"{OWN}@{DIGEST}"),
        (OWN, f"{OWN}@{DIGEST}"),
        (f"{OWN}@sha256:{'f' * 64}", f"{OWN}@{DIGEST}"),
        (f"{OWN}:latest@sha256:{'f' * 64}", f"{OWN}@{DIGEST}"),
        ("127.17.8.2:5000/x", f"127.17.8.2:5000/x@{DIGEST}"),
        ("x:1", f"x@{DIGEST}"),
    ],
)
def test_an_image_by_its_digest(image: str, same: str) -> None:
    assert pinned(image, DIGEST) == same
    assert pinned(image, "") == image


words = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=8).filter(lambda word: word[0].isalnum())


@given(registry=st.sampled_from((OWN_REGISTRY, "127.0.0.1:5000", "a.b")), path=st.lists(words, min_size=1), tag=words)
def test_names_are_read_as_they_are_written(registry: str, path: list[str], tag: str) -> None:
    text = f"{registry}/{'/'.join(path)}:{tag}"
    found = parse_followed(text)
    assert found
    assert (str(found), found.name, found.tag) == (text, path[-1], tag)
    assert pinned(text, DIGEST) == f"{registry}/{'/'.join(path)}@{DIGEST}"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("felix-agent", ("felix-agent", "latest")),
        ("felix-agent:java", ("felix-agent", "java")),
        ("127.0.0.1:5000/x", ("127.0.0.1:5000/x", "latest")),
        (f"{OWN}:1@{DIGEST}", (OWN, DIGEST)),
    ],
)
def test_a_name_is_a_place_and_what_is_meant_there(name: str, parts: tuple[str, str]) -> None:
    assert split_reference(name) == parts


@pytest.mark.parametrize("kind", ["podman", "docker"])
def test_pull_and_run_name_the_digest_and_nothing_else_changes(kind: Literal["podman", "docker"]) -> None:
    unit, name = parse(f"[Container]\nImage={OWN}:latest\nExec=a b\n"), parse_name("felix@1.service")
    engine = ContainerEngine(command=(kind,), kind=kind, pull_command=("/host/pull-image",))
    by_tag, by_digest = (str(to_service(unit, name, engine, digest=digest)) for digest in ("", DIGEST))
    assert by_digest.count(f"{OWN}@{DIGEST}") == 2
    assert f"ExecStartPre=/host/pull-image {OWN}@{DIGEST}" in by_digest
    assert by_digest.replace(f"{OWN}@{DIGEST}", f"{OWN}:latest") == by_tag
    (run,) = [line for line in by_digest.splitlines() if line.startswith("ExecStart=")]
    assert run.split()[:2] == [f"ExecStart={kind}", "run"]
    assert run.endswith(f" {OWN}@{DIGEST} a b")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(DIGEST, True), (DIGEST[:-1], False), (f"{DIGEST}\n", False), ("", False), ("sha512:" + "0" * 64, False)],
)
def test_what_is_a_digest(text: str, is_one: bool) -> None:
    assert is_digest(text) is is_one
