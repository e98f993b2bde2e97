"""A framework with iPOPO and a provider of remote services, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pelix.framework import BundleContext, FrameworkFactory, create_framework

from inaetics.node.locks import break_locks
from tests.unit.node.called import Site, making


@pytest.fixture
def context() -> Iterator[BundleContext]:
    break_locks()
    framework = create_framework(["pelix.ipopo.core"])
    framework.start()
    try:
        yield framework.get_bundle_context()
    finally:
        framework.stop()
        FrameworkFactory.delete_framework(framework)


@pytest.fixture
def site() -> Iterator[Site]:
    with making() as made:
        yield made
