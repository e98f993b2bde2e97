"""The files of the system that are no Python: units, images' folders, Java, the lock of what images hold.

They live at the top of the source tree, where people look for them; links in `_shipped` make a wheel carry copies.
"""

from __future__ import annotations

from pathlib import Path

from inaetics.errors import NotFound

_SHIPPED = Path(__file__).parent / "_shipped"


def units_directory() -> Path:
    """The folder with the unit files of the system."""
    return _existing("units")


def images_directory() -> Path:
    """The folder with one folder an image."""
    return _existing("images")


def java_directory() -> Path:
    """The folder with the Java agent's sources and the Java bundles."""
    return _existing("java")


def node_lock() -> Path:
    """The lock file of the packages in a node agent's image."""
    return _existing("node.lock")


def package_directory() -> Path:
    """The folder of the package `inaetics` itself."""
    return Path(__file__).parent


def _existing(name: str) -> Path:
    path = (_SHIPPED / name).resolve()
    if not path.exists():
        raise NotFound(f"{_SHIPPED / name} is missing: this installation is not whole, install inaetics-cluster again")
    return path
