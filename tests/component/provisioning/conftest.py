"""A real etcd with nothing in it, and programs around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import Site
from tests.support.etcd import etcd_server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with etcd_server() as etcd:
        made = Site(etcd, tmp_path)
        try:
            yield made
        finally:
            made.close()
