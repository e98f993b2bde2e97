"""The folder an image is built from: what it must hold, what it starts from, and how it is copied."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inaetics.containers.context import bases_of, copy_context, full_name, recipe_of
from inaetics.errors import InvalidInput, NotFound


def test_a_recipe_may_have_either_name(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").touch()
    assert recipe_of(tmp_path).name == "Dockerfile"
    (tmp_path / "Containerfile").touch()
    assert recipe_of(tmp_path).name == "Containerfile"


def test_a_folder_without_a_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"cannot build an image from {tmp_path}: it holds no Containerfile"):
        recipe_of(tmp_path)
    with pytest.raises(NotFound, match="there is no folder"):
        recipe_of(tmp_path / "nosuch")


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        pytest.param("FROM a\nRUN x\n", ("a",), id="one"),
        pytest.param("# FROM b\nARG V=1\nfrom --platform=linux/amd64 a:1 AS one\n", ("a:1",), id="with flags"),
        pytest.param("FROM a AS one\nFROM b\nCOPY --from=one /x /y\n", ("a", "b"), id="its own stages are none"),
        pytest.param("FROM a AS one\nFROM one\n", ("a",), id="a stage on a stage"),
        pytest.param("FROM a\nCOPY --chown=1 --from=b:2 /x /y\n", ("a", "b:2"), id="what is copied from"),
        pytest.param("FROM a\nCOPY --from=0 /x /y\n", ("a",), id="a stage by its number"),
        pytest.param("FROM scratch\nCOPY x /\n", (), id="nothing"),
        pytest.param("ARG BASE\nFROM $BASE\n", (), id="a variable is the engine's business"),
        pytest.param("FROM a\nRUN echo \\\n  FROM b\n", ("a",), id="a continued line"),
    ],
)
def test_what_a_recipe_starts_from(text: str, bases: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text(text)
    assert bases_of(tmp_path / "Containerfile") == bases


def test_a_recipe_that_starts_from_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("RUN x\n")
    with pytest.raises(InvalidInput, match="it has no FROM line"):
        bases_of(tmp_path / "Containerfile")


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("node", "localhost/node:latest"),
        ("inaetics/node", "localhost/inaetics/node:latest"),
        ("localhost/inaetics/node:1", "localhost/inaetics/node:1"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
        ("r.example/x@sha256:00", "r.example/x@sha256:00"),
    ],
)
def test_the_whole_name_of_an_image(written: str, whole: str) -> None:
    assert full_name(written) == whole


def test_a_copy_has_plain_modes_and_the_same_content(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "in").mkdir(parents=True)
    (source / "in/tool").write_text("x")
    (source / "plain").write_text("y")
    (source / "link").symlink_to("in/tool")
    (source / "in").chmod(0o700)
    (source / "in/tool").chmod(0o770)
    (source / "plain").chmod(0o600)
    copy_context(source, tmp_path / "copy")
    modes = {
        str(path.relative_to(tmp_path / "copy")): stat.S_IMODE(path.lstat().st_mode)
        for path in (tmp_path / "copy").rglob("*")
        if not path.is_symlink()
    }
    assert modes == {"in": 0o755, "in/tool": 0o755, "plain": 0o644}
    assert (tmp_path / "copy/plain").read_text() == "y"
    assert (tmp_path / "copy/link").readlink() == Path("in/tool")
    assert stat.S_IMODE((source / "plain").stat().st_mode) == 0o600, "what is copied stays as it was"


def test_what_is_no_file_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    os.mkfifo(tmp_path / "source/pipe")
    with pytest.raises(InvalidInput, match="pipe in its folder: it is no file, no folder and no link"):
        copy_context(tmp_path / "source", tmp_path / "copy")
