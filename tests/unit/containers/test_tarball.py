"""Archives depend on content alone."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from inaetics.containers.tarball import EPOCH, content_hash, write_tar


def tree(place: Path) -> Path:
    (place / "b").mkdir(parents=True)
    (place / "b" / "program").write_text("#!/bin/sh\n")
    (place / "b" / "program").chmod(0o750)
    (place / "a").write_text("a")
    (place / "a").chmod(0o600)
    (place / "link").symlink_to("/somewhere/else")
    (place / "tmp").mkdir()
    (place / "tmp").chmod(0o1777)
    return place


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    os.utime(other / "a", (1, 1))
    (other / "a").chmod(0o644)
    assert write_tar(tmp_path / "one.tar", one) == write_tar(tmp_path / "other.tar", other)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_everything_is_roots_and_of_one_date(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", tree(tmp_path / "x"))
    with tarfile.open(tmp_path / "x.tar") as tar:
        entries = {entry.name: entry for entry in tar}
    assert list(entries) == ["a", "b", "b/program", "link", "tmp"]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries.values()} == {(0, 0, "", EPOCH)}
    modes = {name: oct(entry.mode) for name, entry in entries.items()}
    assert modes == {"a": "0o644", "b": "0o755", "b/program": "0o755", "link": "0o777", "tmp": "0o1777"}
    assert entries["link"].linkname == "/somewhere/else"


def test_hard_links_become_files_of_their_own(tmp_path: Path) -> None:
    place = tree(tmp_path / "x")
    os.link(place / "a", place / "c")
    write_tar(tmp_path / "x.tar", place)
    with tarfile.open(tmp_path / "x.tar") as tar:
        content = tar.extractfile("c")
        assert content is not None
        assert content.read() == b"a"


def test_a_digest_knows_names_and_borders(tmp_path: Path) -> None:
    place = tree(tmp_path / "x")
    before = content_hash([place / "a", place / "b/program"], relative_to=place)
    assert before == content_hash([place / "b/program", place / "a"], relative_to=place)
    (place / "a").rename(place / "a2")
    assert before != content_hash([place / "a2", place / "b/program"], relative_to=place)
