"""The same inputs give the same image: at another time, in another folder, under another umask, with another driver."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from inaetics.containers.context import copy_context
from inaetics.containers.findings import Findings
from inaetics.containers.folder_build import Folder, build_folder
from inaetics.containers.images import identity, layers_of
from inaetics.containers.layout import Layer, load, write_layout
from inaetics.containers.store import prepare
from inaetics.containers.tarball import write_tar
from inaetics.errors import CommandFailed, NotFound
from inaetics.units.container import ContainerEngine
from tests.component.containers.conftest import Hosts
from tests.component.containers.tiny import podman, tiny_tree

BASE = "localhost/reproducible/base:latest"
MADE = "localhost/reproducible/made:latest"

RECIPE = f"""\
FROM {BASE}
COPY b a /data/
COPY tool /bin/tool
CMD ["/bin/tool"]
"""
"""`/data` and `/bin` are in the base, and one folder's name begins with another's: there drivers leave their traces."""


def make_base(engine: ContainerEngine, place: Path) -> None:
    """A base image of busybox, written by us."""
    tree = place / "tree"
    tiny_tree(tree)
    (tree / "data").mkdir()
    write_tar(place / "base.tar", tree)
    layer = Layer(archive=place / "base.tar", made_by="the test")
    made = write_layout(place / "layout", [layer], labels={"b": "2", "a": "1"}, architecture="amd64")
    load(engine, place / "layout", BASE, identity=made)


def make_folder(place: Path, *, umask: int, when: float) -> Path:
    """The same folder, as somebody else has it."""
    before = os.umask(umask)
    try:
        for folder in ("a/inside", "a/inside-too"):
            (place / folder).mkdir(parents=True)
        for name in ("a/inside/file", "a/inside-too/file", "b", "tool"):
            (place / name).write_text(f"#!/bin/sh\necho {name}\n")
            os.utime(place / name, (when, when))
        (place / "tool").chmod(0o777 & ~umask)
        (place / "Containerfile").write_text(RECIPE)
    finally:
        os.umask(before)
    return place


def make(engine: ContainerEngine, place: Path, *, umask: int, when: float) -> str:
    """Build it; returns the identity of the image."""
    place.mkdir()
    make_base(engine, place)
    source = make_folder(place / "source", umask=umask, when=when)
    copy_context(source, place / "copy")
    folder = Folder(
        context=place / "copy", recipe=place / "copy/Containerfile", reference=MADE, bases=(BASE,), labels={"x": "y"}
    )
    build_folder(engine, folder, place / "work")
    return identity(engine, MADE) or ""


def folder_of(place: Path, recipe: str) -> Folder:
    place.mkdir(parents=True)
    (place / "Containerfile").write_text(recipe)
    return Folder(context=place, recipe=place / "Containerfile", reference=MADE, bases=(BASE,), labels={})


def manifest(engine: ContainerEngine) -> str:
    return podman(engine, "image", "inspect", "--format", "{{.Digest}}", MADE)


def test_one_folder_is_one_image(hosts: Hosts, findings: Findings, tmp_path: Path) -> None:
    one, two = hosts(), hosts()
    other = prepare(two.store, replace(findings, storage_driver="vfs"))
    first = make(one.engine, tmp_path / "one", umask=0o022, when=time.time())
    second = make(other, tmp_path / "two", umask=0o007, when=1e9)
    assert first == second
    assert manifest(one.engine) == manifest(other)
    assert podman(one.engine, "run", "--rm", "--network", "host", MADE) == "tool"


def test_layers_that_were_there_stay_as_they_are(hosts: Hosts, tmp_path: Path) -> None:
    engine = hosts().engine
    make(engine, tmp_path / "one", umask=0o022, when=time.time())
    below, above = layers_of(engine, BASE), layers_of(engine, MADE)
    assert below is not None
    assert above is not None
    assert above[:1] == below
    assert len(above) == 3


def test_a_folder_that_cannot_be_built_says_why(hosts: Hosts, tmp_path: Path) -> None:
    engine = hosts().engine
    with pytest.raises(NotFound, match="cannot start from image 'localhost/reproducible/base:latest'"):
        build_folder(engine, folder_of(tmp_path / "no-base", RECIPE), tmp_path / "work")
    make_base(engine, tmp_path)
    with pytest.raises(CommandFailed, match=r"(?s)cannot build image localhost/repro.*\"/nosuch\": no such file"):
        build_folder(engine, folder_of(tmp_path / "no-file", f"FROM {BASE}\nCOPY nosuch /\n"), tmp_path / "work")


def test_a_build_that_was_cut_harms_no_later_one(hosts: Hosts, tmp_path: Path) -> None:
    engine = hosts().engine
    make_base(engine, tmp_path)
    slow = folder_of(tmp_path / "slow", f'FROM {BASE}\nRUN ["/bin/sh", "-c", "echo here; sleep 15"]\n')
    command = [*engine.command, "build", "--tag", MADE, "--file", str(slow.recipe), str(slow.context)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as build:
        assert build.stdout is not None
        assert any(line.strip() == b"here" for line in build.stdout), "the step has begun"
        os.killpg(build.pid, signal.SIGKILL)
    assert identity(engine, MADE) is None
    assert make(engine, tmp_path / "again", umask=0o022, when=time.time()) == identity(engine, MADE)
