"""What `pyproject.toml` says of our modules is what they say and do themselves."""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import inaetics
from inaetics.node import api

PACKAGE = Path(inaetics.__file__).parent
TOP = PACKAGE.parents[1]

SAYS_PURE = re.compile(r"(?:^|[.;,]\s+)[Pp]ure(?:[.:]|$| and )", re.MULTILINE)
"""How a module's docstring says of the module: no clock, no input, no output."""

IMPORTED = re.compile(r"^\s*(?:from|import) (\w+)(?:\.[\w.]+)?(?: import .*| as \w+)?$", re.MULTILINE)
"""Wherever in a module it stands; one a line, as the formatter writes them."""

ROOMS_WITH_A_MAP = ("api", "cli", "containers", "fleet", "hosts", "provisioning", "store", "supervisor")
NAMED = re.compile(r"`(\w+)`")

NOT_INSTALLED = {"inaetics", "_typeshed"}
"""Ours, and what only the type checker knows."""

TEMPLATES = "inaetics.cli.bundle_skeleton"
"""Its imports are those of the bundles that `bundle init` writes."""

IN_CONTAINERS = ["inaetics.node", "inaetics.provisioning", "inaetics.demonstrator"]

DISTRIBUTIONS = {"google": "protobuf", "pelix": "ipopo", "prometheus_client": "prometheus-client"}
"""Packages that are called otherwise than what is installed; `-` and `_` are one."""


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text())


@cache
def _modules() -> dict[str, str]:
    """The text of every module; a package says something of its parts, not of itself."""
    paths = (path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path.read_text() for path in sorted(paths)
    }


def _docstring(text: str) -> str:
    return text.split('"""', 2)[1] if text.startswith('"""') else ""


def _is_one_of(module: str, listed: list[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in listed)


def _declared(requirements: list[Any]) -> set[str]:
    names = (re.match(r"[\w-]+", each) for each in requirements if isinstance(each, str))
    return {name[0].replace("-", "_") for name in names if name}


def test_a_module_that_calls_itself_pure_is_held_to_it() -> None:
    contracts = _project()["tool"]["importlinter"]["contracts"]
    listed = next(each["source_modules"] for each in contracts if each["id"] == "pure")
    claims = [name for name, text in _modules().items() if SAYS_PURE.search(_docstring(text))]
    assert [name for name in claims if not _is_one_of(name, listed)] == []
    assert len(claims) > 40


def test_what_a_room_says_of_its_parts_is_there() -> None:
    """The map in a room's docstring names modules, and beginnings and ends of their names."""
    missing = []
    for room in ROOMS_WITH_A_MAP:
        parts = {path.stem for path in (PACKAGE / room).iterdir()}
        for name in NAMED.findall(_docstring((PACKAGE / room / "__init__.py").read_text())):
            fits = str.startswith if name.endswith("_") else str.endswith
            if not (any(fits(part, name) for part in parts) if "_" in (name[0], name[-1]) else name in parts):
                missing.append(f"{room}: {name}")
    assert missing == []


def test_every_package_that_is_imported_is_declared() -> None:
    """None is here by chance, because another one brings it."""
    project = _project()
    hosts = _declared(project["project"]["dependencies"])
    node = _declared(project["dependency-groups"]["node"])
    found = {
        f"{name}: {package}"
        for name, text in _modules().items()
        for package in IMPORTED.findall(text)
        if name != TEMPLATES
        and package not in sys.stdlib_module_names | NOT_INSTALLED
        and DISTRIBUTIONS.get(package, package).replace("-", "_")
        not in (node if _is_one_of(name, IN_CONTAINERS) else hosts)
    }
    assert found == set()


def test_task_groups_are_those_that_take_back_their_cancellation() -> None:
    assert [name for name, text in _modules().items() if "asyncio.TaskGroup" in text and name != "inaetics.tasks"] == []


def test_names_that_bundles_share_with_the_agent_are_written_once() -> None:
    names = {value for name, value in vars(api).items() if name.isupper()}
    written = re.compile(rf"""(["'])(?:{"|".join(map(re.escape, sorted(names)))})\1""")
    again = [name for name, text in _modules().items() if name != api.__name__ and written.search(text)]
    assert len(names) > 10
    assert again == []
