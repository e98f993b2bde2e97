"""Which of our files an image holds."""

from __future__ import annotations

import ast
from pathlib import Path

from inaetics import resources
from inaetics.containers.package import ROOMS, package_files

HOSTS_ONLY = {"api", "cli", "fleet", "hosts", "supervisor"}


def rooms_of(files: list[Path], package: Path) -> set[str]:
    return {path.relative_to(package).parts[0] for path in files if len(path.relative_to(package).parts) > 1}


def test_the_rooms_of_hosts_stay_out() -> None:
    package = resources.package_directory()
    rooms = rooms_of(package_files(package), package)
    assert rooms >= set(ROOMS)
    assert not rooms & HOSTS_ONLY, "a change of these would move to every host, for nothing"


def test_whatever_is_imported_is_there() -> None:
    package = resources.package_directory()
    files = package_files(package)
    there = {".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__") for path in files} | {
        ""
    }
    for path in files:
        if path.suffix == ".py":
            for module in _imports(path):
                assert module in there, f"{path} imports inaetics.{module}"


def test_an_import_brings_what_it_means_and_no_more(tmp_path: Path) -> None:
    for name, text in {
        "errors.py": "",
        "node/__init__.py": "",
        "node/start.py": "def f():\n    from inaetics.store.client import get\n",
        "node/page.html": "",
        "node/__pycache__/start.pyc": "",
        "store/__init__.py": "from inaetics.errors import X\nimport inaetics.units.names\n",
        "store/client.py": "from inaetics.units import quoting as q\n",
        "store/etcd.py": "",
        "units/__init__.py": "",
        "units/names.py": "",
        "units/quoting.py": "",
        "fleet/engine.py": "from inaetics.node import start\n",
        "_shipped/units": "",
        ".hidden": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [str(path.relative_to(tmp_path)) for path in package_files(tmp_path)] == [
        "errors.py", "node/__init__.py", "node/page.html", "node/start.py",
        "store/__init__.py", "store/client.py", "units/__init__.py", "units/names.py", "units/quoting.py",
    ]  # fmt: skip


def _imports(path: Path) -> set[str]:
    """The modules of ours that a module names in its imports, wherever they stand, and of relative ones nothing."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return {name.removeprefix("inaetics").lstrip(".") for name in found if name.split(".")[0] == "inaetics"}
