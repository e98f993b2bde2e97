"""In which order the component tests run."""

from __future__ import annotations

import pytest

LONG = (
    "hosts/test_security.py",
    "containers/test_images.py",
    "hosts/test_three.py",
    "hosts/test_registries.py",
    "hosts/test_containers.py",
    "node/test_agent.py",
    "containers/test_units.py",
    "hosts/test_one.py",
    "demonstrator/test_page.py",
    "node/test_remote_services.py",
    "fleet/test_losing_touch_real.py",
    "provisioning/test_server.py",
    "api/test_dashboard.py",
    "api/test_tunnel.py",
    "supervisor/test_deadline.py",
    "hosts/test_forming.py",
    "demonstrator/test_coordinator.py",
    "fleet/test_real.py",
    "node/test_skeleton.py",
    "store/test_members.py",
    "api/test_openapi.py",
    "provisioning/test_faults.py",
    "api/test_process.py",
    "containers/test_replicas.py",
    "containers/test_reproducible.py",
    "node/test_tutorial.py",
    "java/test_java_agent.py",
    "supervisor/test_thousand.py",
    "supervisor/test_any_instant.py",
)
"""Files that take a quarter of a minute and more: begun first, so that none of them is waited for alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order within a file stays."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((place for place, name in enumerate(LONG) if item.nodeid.partition("::")[0].endswith(name)), len(LONG))
