"""In which order the component tests run."""

from __future__ import annotations

import pytest

LONG = (
    "hosts/test_security.py",
    "containers/test_images.py",
    "hosts/test_three.py",
    "containers/test_units.py",
    "hosts/test_registries.py",
    "hosts/test_one.py",
    "hosts/test_containers.py",
    "node/test_agent.py",
    "node/test_remote_services.py",
    "api/test_dashboard.py",
    "demonstrator/test_page.py",
    "fleet/test_losing_touch_real.py",
    "provisioning/test_server.py",
    "hosts/test_forming.py",
    "supervisor/test_deadline.py",
    "api/test_openapi.py",
    "containers/test_replicas.py",
    "supervisor/test_thousand.py",
    "supervisor/test_any_instant.py",
)
"""Files that take a quarter of a minute and more: begun first, so that none of them is waited for alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order within a file stays."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((place for place, name in enumerate(LONG) if item.nodeid.partition("::")[0].endswith(name)), len(LONG))
