"""A daemon for the tests of one module that do not kill it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.component.supervisor.daemon import Daemon, daemon


@pytest.fixture(scope="module")
def host() -> Iterator[Daemon]:
    """Yield a running daemon; `borrowed` leaves it empty after each test."""
    with asyncio.Runner() as runner:
        lent = daemon()
        it = runner.run(lent.__aenter__())
        yield it
        runner.run(lent.__aexit__(None, None, None))
