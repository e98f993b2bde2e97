"""Which of a machine's package sources a base image is made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.containers.debian import apt_sources, distribution
from inaetics.errors import NotFound

STANZA = """\
# a comment
Types: deb
URIs: mirror:/debian
Suites: bookworm bookworm-updates
Components: main
"""


def etc(tmp_path: Path, **files: str) -> Path:
    """An /etc/apt with these files below sources.list.d; `list` is sources.list itself."""
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        path = tmp_path / "sources.list" if name == "list" else tmp_path / "sources.list.d" / name.replace("_", ".")
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("deb mirror:/debian bookworm main", id="the release"),
        pytest.param("deb [signed-by=/k.gpg arch=amd64] mirror:/debian bookworm-updates main contrib", id="updates"),
        pytest.param("deb mirror:/security bookworm-security main", id="security"),
        pytest.param("deb mirror:/security bookworm/updates main", id="security, as it used to be called"),
    ],
)
def test_lines_of_the_own_release_are_taken(tmp_path: Path, line: str) -> None:
    assert apt_sources("bookworm", etc(tmp_path, list=f"{line}\n")) == {"machine.list": f"{line}\n"}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("deb mirror:/debian trixie main", id="another release"),
        pytest.param("deb mirror:/debian bookworm-backports main", id="backports"),
        pytest.param("deb mirror:/debian bookworm-proposed-updates main", id="what is only proposed"),
        pytest.param("deb-src mirror:/debian bookworm main", id="source packages"),
        pytest.param("# deb mirror:/debian bookworm main", id="a comment"),
        pytest.param("deb mirror:/vendor nodistro main", id="a vendor's"),
    ],
)
def test_other_lines_are_left_out(tmp_path: Path, line: str) -> None:
    with pytest.raises(NotFound, match="no package source for bookworm"):
        apt_sources("bookworm", etc(tmp_path, list=f"{line}\n"))


def test_stanzas_are_taken_whole(tmp_path: Path) -> None:
    other = STANZA.replace("bookworm bookworm-updates", "nodistro")
    off = STANZA + "Enabled: no\n"
    found = apt_sources("bookworm", etc(tmp_path, debian_sources=f"{STANZA}\n{other}", off_sources=off))
    assert found == {"machine.sources": STANZA.split("\n", 1)[1]}


def test_files_that_apt_ignores_are_ignored(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        apt_sources("bookworm", etc(tmp_path, debian_sources_disabled=STANZA))


def test_a_system_without_apt_is_told_where_images_can_be_built(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('PRETTY_NAME="Some Linux 7"\nID=some\n')
    with pytest.raises(NotFound, match=r"Some Linux 7\) is neither Debian nor Ubuntu"):
        distribution(tmp_path / "os-release")
