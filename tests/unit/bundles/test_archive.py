"""Bundle archives: same files give the same bytes; what is not whole or reaches outside itself is refused."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inaetics.bundles.archive import MAX_BYTES, open_archive, pack
from inaetics.bundles.manifest import read_manifest, version_order
from inaetics.errors import InvalidInput
from tests.support.bundles import bundle_folder, packed

MANIFEST = {"name": "greeter", "version": "1.0.0"}


def test_packed_archive_opens_with_what_its_manifest_says(tmp_path: Path) -> None:
    path = packed(tmp_path, "greeter", entry="component", component="x = 1", requires="clock", provides="greeting")
    archive = open_archive(path)
    assert path.name == "greeter-1.0.0.zip"
    assert archive.manifest.requires == ("clock",)
    assert archive.manifest.provides == ("greeting",)
    assert open_archive(path, sha256=archive.sha256) == archive


def test_packing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, "greeter", b="b = 1", a="a = 1")
    first = pack(folder, tmp_path / "one").read_bytes()
    for path in folder.iterdir():
        os.utime(path, (0, 0))
        path.chmod(0o600)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    (folder / ".hidden").write_text("x")
    assert pack(folder, tmp_path / "two").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "two" / "greeter-1.0.0.zip") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}, "no clock gets into it"


def test_resources_travel_with_the_bundle(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, "greeter")
    (folder / "static").mkdir()
    (folder / "static" / "page.html").write_bytes(b"<p>\xc3\xa9")
    with zipfile.ZipFile(pack(folder, tmp_path)) as archive:
        assert archive.read("greeter/static/page.html") == b"<p>\xc3\xa9"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"name": "Greeter"}, "name 'Greeter'", id="names are lower case"),
        pytest.param({"name": "../greeter"}, "name '../greeter'", id="a name is no path"),
        pytest.param({"version": "1"}, "version '1'", id="a version has at least two numbers"),
        pytest.param({"version": "1.0/2"}, "version '1.0/2'", id="a version is no path"),
        pytest.param({"version": "01.0"}, "version '01.0'", id="one spelling of a version"),
        pytest.param({"entry": "os; x"}, "entry 'os; x'", id="an entry is a module"),
        pytest.param({"requires": ["a b"]}, "capability 'a b'", id="a capability is one word"),
        pytest.param({"requirs": []}, "requirs", id="an unknown field is named"),
        pytest.param({"version": 1}, "version", id="a field of the wrong type is named"),
    ],
)
def test_wrong_manifest_is_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInput, match=r"greeter\.json") as refused:
        read_manifest(json.dumps(MANIFEST | fields).encode(), source="greeter.json")
    assert named in str(refused.value)


def test_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no readable bundle\.json"):
        pack(tmp_path, tmp_path)


def test_folder_and_name_must_agree(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, "greeter").rename(tmp_path / "other")
    with pytest.raises(InvalidInput, match="folder and name"):
        pack(folder, tmp_path)


def test_module_that_does_not_compile_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"component\.py.*line 2"):
        packed(tmp_path, "greeter", component="x = 1\ndef (:\n")


def test_missing_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no module 'component'"):
        packed(tmp_path, "greeter", entry="component")


def test_links_are_refused_when_packing(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, "greeter")
    (folder / "secret.txt").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match="is a link"):
        pack(folder, tmp_path)


def hostile(tmp_path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle.json", json.dumps(MANIFEST))
        archive.writestr("greeter/__init__.py", "")
        for info, data in entries:
            archive.writestr(info, data)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        pytest.param("../../etc/cron.d/x", "outside itself", id="upwards"),
        pytest.param("greeter/../../x.py", "outside itself", id="upwards from inside"),
        pytest.param("/etc/passwd", "outside itself", id="absolute"),
        pytest.param("greeter\\..\\x.py", "outside itself", id="backslashes"),
        pytest.param("greeter/a\0.py", "outside itself", id="a name with a NUL"),
        pytest.param("os/__init__.py", "outside its package", id="a second package"),
        pytest.param("sitecustomize.py", "outside its package", id="a module beside the package"),
        pytest.param(link("greeter/data"), "holds a link", id="a link"),
    ],
)
def test_archive_that_reaches_outside_itself_is_refused(
    tmp_path: Path, entry: zipfile.ZipInfo | str, named: str
) -> None:
    if isinstance(entry, str) and "\0" in entry:
        path = hostile(tmp_path, ("greeter/aX.py", b""))
        path.write_bytes(path.read_bytes().replace(b"greeter/aX.py", b"greeter/a\0.py"))
    else:
        path = hostile(tmp_path, (entry, b"x"))
    with pytest.raises(InvalidInput, match=named):
        open_archive(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="two entries"):
        open_archive(hostile(tmp_path, ("greeter/__init__.py", b"import os")))


def test_announced_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(MANIFEST))
        archive.writestr("greeter/__init__.py", b"#" * (MAX_BYTES + 1))
    assert path.stat().st_size < 200_000
    with pytest.raises(InvalidInput, match="more than"):
        open_archive(path)


def test_no_zip_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_text("<html>404</html>")
    with pytest.raises(InvalidInput, match=r"x\.zip"):
        open_archive(path)
    with pytest.raises(InvalidInput, match=r"missing\.zip"):
        open_archive(tmp_path / "missing.zip")


def test_other_content_than_asked_for_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path, "greeter")
    with pytest.raises(InvalidInput, match="expected 0000"):
        open_archive(path, sha256="0" * 64)


SAMPLE = b"greeting = 'hello'  # enough content to be hit by an altered byte\n" * 20


def sample_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("bundle.json", json.dumps(MANIFEST))
        archive.writestr("greeter/__init__.py", SAMPLE)
    return buffer.getvalue()


@settings(deadline=None)
@given(cut=st.floats(min_value=0, max_value=0.999))
def test_archive_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: float) -> None:
    data = sample_archive()
    path = tmp_path_factory.mktemp("cut") / "x.zip"
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InvalidInput):
        open_archive(path)


@settings(deadline=None)
@given(position=st.floats(min_value=0, max_value=0.999), bit=st.integers(0, 7))
def test_archive_altered_anywhere_is_refused_or_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, position: float, bit: int
) -> None:
    data = bytearray(sample_archive())
    data[int(len(data) * position)] ^= 1 << bit
    path = tmp_path_factory.mktemp("altered") / "x.zip"
    path.write_bytes(data)
    try:
        open_archive(path)
    except InvalidInput:
        return
    with zipfile.ZipFile(path) as archive:  # dates and the like carry no checksum: the content must still be right
        assert archive.read("greeter/__init__.py") == SAMPLE


def test_versions_are_ordered_by_number() -> None:
    assert sorted(["1.10.0", "1.9", "1.9.1", "0.99"], key=version_order) == ["0.99", "1.9", "1.9.1", "1.10.0"]
    assert version_order("1.0") == version_order("1.0.0")
