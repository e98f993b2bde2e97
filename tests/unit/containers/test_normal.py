"""One form for a layer, whoever wrote it."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

from inaetics.containers.normal import rewrite


def entry(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def entries() -> list[tuple[tarfile.TarInfo, bytes]]:
    """A layer as the overlay driver writes it without root, with all that a layer may hold."""
    driver = {"SCHILY.xattr.user.overlay.impure": "y", "SCHILY.xattr.trusted.overlay.opaque": "y"}
    able = {"SCHILY.xattr.security.capability": "\x01\x00"}
    return [
        (entry("d", type=tarfile.DIRTYPE, mode=0o1777, mtime=5, pax_headers=driver), b""),
        (entry("d/.wh.gone", mode=0o600), b""),
        (entry("d/z", mode=0o4755, size=3, uid=7, gid=8, uname="x", mtime=1.5, pax_headers=able), b"abc"),
        (entry("d-e", type=tarfile.SYMTYPE, linkname="d/z"), b""),
        (entry("d/a", type=tarfile.LNKTYPE, linkname="d/z"), b""),
        (entry("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
    ]


def write(path: Path, layer: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in layer:
            tar.addfile(info, io.BytesIO(content))
    return path


def test_order_time_and_drivers_attributes_make_no_difference(tmp_path: Path) -> None:
    first = rewrite(write(tmp_path / "one.tar", entries()), tmp_path / "one")
    other = entries()
    random.Random(1).shuffle(other)
    for info, _ in other:
        info.mtime = 99
        info.uname = "somebody"
        info.pax_headers = {key: value for key, value in info.pax_headers.items() if "overlay" not in key}
    second = rewrite(write(tmp_path / "two.tar", other), tmp_path / "two")
    assert first == second
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_the_layer_means_stays(tmp_path: Path) -> None:
    rewrite(write(tmp_path / "one.tar", entries()), tmp_path / "one")
    with tarfile.open(tmp_path / "one") as tar:
        found = {info.name: info for info in tar}
        assert list(found) == ["d", "d/.wh.gone", "d/z", "d-e", "dev", "d/a"], "a hard link comes after its file"
        assert (found["d"].mode, found["d/z"].mode, found["d/z"].uid, found["d/z"].gid) == (0o1777, 0o4755, 7, 8)
        assert found["d/z"].pax_headers == {"SCHILY.xattr.security.capability": "\x01\x00"}
        assert found["d-e"].linkname == "d/z"
        assert (found["dev"].devmajor, found["dev"].devminor) == (1, 3)
        content = tar.extractfile("d/z")
        assert content is not None
        assert content.read() == b"abc"


def test_content_makes_a_difference(tmp_path: Path) -> None:
    changed = [(info, b"abd" if info.name == "d/z" else content) for info, content in entries()]
    first = rewrite(write(tmp_path / "one.tar", entries()), tmp_path / "one")
    assert first != rewrite(write(tmp_path / "two.tar", changed), tmp_path / "two")
