"""inaetics bundle init: the skeleton of a bundle, with its tests."""

from __future__ import annotations

import re
from pathlib import Path

import click

from inaetics.bundles.manifest import MANIFEST, read_manifest
from inaetics.cli.bundle_skeleton import skeleton, specification
from inaetics.errors import Conflict, InvalidInput


@click.command("init")
@click.argument("name")
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--uses", metavar="SPECIFICATION", default="", help="Make a bundle that uses this service.")
def init(name: str, directory: Path, uses: str) -> None:
    """Make the skeleton of a bundle NAME in DIR (here, unless said): DIR/NAME and DIR/tests/test_NAME.py.

    It provides a service NAME.Name, to all agents; with --uses it uses one. Its tests pass, without a cluster:

    \b
      inaetics bundle init greeter
      inaetics bundle init caller --uses greeter.Greeter
      pytest tests
      inaetics bundle push greeter caller

    Nothing that exists is written over.
    """
    files = skeleton(name, uses=uses)
    read_manifest(files[f"{name}/{MANIFEST}"].encode(), source=f"bundle {name!r}")
    if name == "tests" or not re.fullmatch(r"[\w.]*", uses):
        raise InvalidInput(f"cannot make a bundle {name!r} that uses {uses!r}: take another name, such as a.b.Name")
    there = [path for path in files if (directory / path).exists()]
    if there:
        raise Conflict(f"cannot make bundle {name!r} in {directory.resolve()}: {there[0]} is there already")
    for path, text in files.items():
        _write(directory / path, text)
        click.echo(f"wrote {directory / path}")
    if not uses:
        click.echo(
            f"its service is {specification(name)}; who uses it: inaetics bundle init NAME --uses {specification(name)}"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
