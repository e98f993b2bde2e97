"""What a person reads who builds a bundle that is not right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from inaetics.cli.bundle_commands import bundle
from inaetics.errors import InvalidInput

MANIFEST = {"name": "clock", "version": "1.0.0"}


def build(folder: Path, *options: str) -> str:
    """What refuses it, in words."""
    with pytest.raises(InvalidInput) as refused:
        CliRunner().invoke(bundle, ["build", str(folder), *options], standalone_mode=False, catch_exceptions=False)
    return str(refused.value)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "bundle.json").write_text(json.dumps(MANIFEST, indent=1))
    (folder / "__init__.py").write_text("")
    return folder


@pytest.mark.parametrize("inside", ["", "/x"], ids=["a file", "below a file"])
def test_archives_go_into_a_folder(clock: Path, tmp_path: Path, inside: str) -> None:
    (tmp_path / "f").write_text("mine")
    refused = build(clock, "--to", f"{tmp_path}/f{inside}")
    assert f"cannot put archives into {tmp_path}/f{inside}: " in refused
    assert "--to DIR" in refused
    assert (tmp_path / "f").read_text() == "mine"


def test_imports_of_a_java_bundle_are_text(clock: Path, tmp_path: Path) -> None:
    (clock / "bundle.json").write_text(json.dumps(MANIFEST | {"kind": "osgi", "entry": "clock.Activator"}))
    (clock / "src").mkdir()
    (clock / "IMPORTS").write_bytes(b"org.osgi.\xe9")
    refused = build(clock, "--to", str(tmp_path))
    assert f"cannot read {clock}/IMPORTS: byte 10 is not UTF-8" in refused
    assert "one a line" in refused


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b'{\n "name": "clock",\n "version": "1.', "line 3", id="cut in a word"),
        pytest.param(b'{\n "name": "clock"\n', "it ends too early", id="cut at the end of a line"),
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b'{"name": "cl\xe9ck"}', "byte 13 is not UTF-8", id="not UTF-8"),
        pytest.param(b'{\n "name": "clock",\n}', "line 3", id="a comma too many"),
    ],
)
def test_a_manifest_that_is_no_json_is_named_with_its_line(clock: Path, data: bytes, words: str) -> None:
    (clock / "bundle.json").write_bytes(data)
    refused = build(clock)
    assert f"{clock}/bundle.json" in refused
    assert words in refused
    assert "inaetics bundle init" in refused
