"""Memory and cores in words that people understand and that never hide a lack."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.fleet import amounts

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (2 * GIB, "2 GiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (1500 * MIB, "1500 MiB"),
        (GIB - 1, "1 GiB"),
        (800 * MIB, "800 MiB"),
        (1000, "1000 bytes"),
        (64 << 40, "64 TiB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert amounts.memory(size) == words


@pytest.mark.parametrize(
    ("need", "free", "total", "words"),
    [
        (2 * GIB, 1229 * MIB, 4 * GIB, "needs 2 GiB of memory, 1.2 of 4 GiB are free"),
        (GIB, GIB - MIB, 2 * GIB, "needs 1024 MiB of memory, 1023 of 2048 MiB are free"),
        (GIB, -MIB, 2 * GIB, "needs 1 GiB of memory, 0 of 2 GiB are free"),
    ],
)
def test_a_lack_of_memory(need: int, free: int, total: int, words: str) -> None:
    assert amounts.lack_of_memory(need, free, total) == words


def test_a_lack_of_cores() -> None:
    assert amounts.lack_of_cores(2000, 500, 4000) == "needs 2 cores, 0.5 of 4 are free"
    assert amounts.lack_of_cores(1000, 0, 1000) == "needs 1 core, 0 of 1 are free"


@given(st.integers(1, 1 << 46), st.integers(0, 1 << 46))
def test_what_lacks_can_be_seen(need: int, free: int) -> None:
    """Seen to fail when need and free are rounded alike."""
    if need > free:
        words = amounts.lack_of_memory(need, free, 1 << 46).split()
        assert float(words[1]) > float(words[5])
