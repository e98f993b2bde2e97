"""An agent says once that its host's disk gets low, and once that it has room again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from inaetics.fleet import agent_disk

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("left", "said"),
    [
        pytest.param([50, 40], [], id="there is room"),
        pytest.param([5, 4, 3], ["5.0 of 100 GB free at /state"], id="low from the first"),
        pytest.param([50, 9, 8, 30], ["9.0 of 100 GB free at /state", ""], id="low, and room again"),
        pytest.param([50, 9, 10, 11, 9, 12], ["9.0 of 100 GB free at /state"], id="about the border"),
        pytest.param(
            [50, 9, 12.5, 9], ["9.0 of 100 GB free at /state", "", "9.0 of 100 GB free at /state"], id="again"
        ),
        pytest.param([50, None, 9, None, 8], ["9.0 of 100 GB free at /state"], id="a look that fails"),
    ],
)
def test_a_disk_is_told_of_when_it_changes(
    left: Iterable[float | None], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(left)

    def look(place: Path) -> tuple[int, int]:
        try:
            free = next(looks)
        except StopIteration:
            raise asyncio.CancelledError from None
        if free is None:
            raise OSError(f"{place} is stale")
        return int(free * GB), 100 * GB

    async def main() -> list[str]:
        told: list[str] = []
        with pytest.raises(asyncio.CancelledError):
            await agent_disk.follow_disk(Path("/state"), told.append, every_s=0)
        return told

    monkeypatch.setattr(agent_disk, "free_bytes", look)
    assert asyncio.run(main()) == said
