"""A framework with iPOPO, in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pelix.framework import BundleContext, FrameworkFactory, create_framework

from inaetics.node.locks import break_locks


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
