"""Bundle folders written by a test: a name, a version and some modules."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from inaetics.bundles.archive import pack


def bundle_folder(root: Path, name: str, version: str = "1.0.0", *, entry: str = "", **files: str) -> Path:
    """Write ``root/name`` with its manifest; each keyword is a module, its value the source (`init` the package's)."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    requires = files.pop("requires", "").split()
    provides = files.pop("provides", "").split()
    manifest = {"name": name, "version": version, "entry": entry, "requires": requires, "provides": provides}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    files.setdefault("init", "")
    for module, source in files.items():
        (folder / ("__init__.py" if module == "init" else f"{module}.py")).write_text(textwrap.dedent(source))
    return folder


def packed(root: Path, name: str, version: str = "1.0.0", *, entry: str = "", **files: str) -> Path:
    """Write such a folder below `root` and pack it into ``root/archives``; returns the archive."""
    folder = bundle_folder(root / f"source-{version}", name, version, entry=entry, **files)
    return pack(folder, root / "archives")
