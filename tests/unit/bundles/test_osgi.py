"""Bundles for Java agents: what an archive of them holds, and who may get them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from inaetics.bundles.archive import Archive, open_archive, pack
from inaetics.bundles.manifest import Manifest, read_manifest, write_manifest
from inaetics.bundles.mapping import parse_mapping
from inaetics.errors import InvalidInput
from inaetics.node.plan import plan
from tests.support.versions import gives, version_of

JAVA = Manifest(name="greeter", version="1.0.0", kind="osgi", entry="greeter.Activator")
PYTHON = Manifest(name="clock", version="1.0.0")


def jar(name: str = "greeter", version: str = "1.0.0") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        text = f"Manifest-Version: 1.0\r\nBundle-SymbolicName: {name[:3]}\r\n {name[3:]};singleton:=true\r\n"
        made.writestr("META-INF/MANIFEST.MF", f"{text}Bundle-Version: {version}\r\n\r\n")
    return buffer.getvalue()


def folder(root: Path, **files: bytes) -> Path:
    made = root / "greeter"
    made.mkdir()
    (made / "bundle.json").write_bytes(write_manifest(JAVA))
    for name, data in files.items():
        (made / name.replace("_", ".")).write_bytes(data)
    return made


def test_an_archive_holds_one_jar_and_is_the_same_every_time(tmp_path: Path) -> None:
    source = folder(tmp_path, greeter_jar=jar())
    archive = open_archive(pack(source, tmp_path / "a"))
    assert archive.manifest == JAVA
    assert archive.manifest.language == "java"
    assert archive.sha256 == open_archive(pack(source, tmp_path / "b")).sha256


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({}, "not nothing else", id="no jar"),
        pytest.param({"greeter_jar": jar(), "readme_txt": b"x"}, "greeter/readme.txt", id="something beside it"),
        pytest.param({"greeter_jar": b"nonsense"}, "is no OSGi bundle", id="no zip"),
        pytest.param({"greeter_jar": jar("other")}, "says it is other 1.0.0", id="another name"),
        pytest.param({"greeter_jar": jar(version="1.0.1")}, "says it is greeter 1.0.1", id="another version"),
        pytest.param({"greeter_jar": jar(version="1.0.0.SNAPSHOT")}, "SNAPSHOT", id="a version that is no number"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        pack(folder(tmp_path, **files), tmp_path / "out")


def test_agents_that_know_no_kinds_read_what_is_for_them() -> None:
    assert "kind" not in json.loads(write_manifest(PYTHON))
    assert read_manifest(write_manifest(JAVA), source="it") == JAVA


@pytest.mark.parametrize(
    ("bundle", "language", "fits"),
    [
        pytest.param("clock", "", True, id="Python's where nothing is said"),
        pytest.param("greeter", 'language = "java"', True, id="Java's where it is said"),
        pytest.param("greeter", "", False, id="Java's on Python agents"),
        pytest.param("clock", 'language = "java"', False, id="Python's on Java agents"),
    ],
)
def test_a_rule_gives_what_its_agents_can_run(bundle: str, language: str, fits: bool) -> None:
    text = f'[[rules]]\ntarget = "x@*"\n{language}\ninstall = ["{bundle}"]'
    if fits:
        assert gives(version_of(text, [JAVA, PYTHON]), "x@1") == [f"{bundle}-1.0.0"]
        return
    with pytest.raises(InvalidInput, match=rf"rule 'x@\*': bundle {bundle}-1.0.0 is .* says language = ") as refused:
        parse_mapping(text, [JAVA, PYTHON])
    assert "agents and not for" in str(refused.value)


def test_a_python_agent_that_is_given_one_touches_nothing() -> None:
    archive = Archive(path=Path("greeter.zip"), manifest=JAVA, sha256="0" * 64, size=1)
    with pytest.raises(InvalidInput, match="OSGi bundle, for Java agents"):
        plan([], [archive])
