"""Units run as their types say, with real processes under a real daemon."""

from __future__ import annotations

import asyncio

from inaetics.supervisor.protocol import Active
from tests.component.supervisor.daemon import alive, daemon, service


def test_a_simple_service_runs_and_stops() -> None:
    async def main() -> None:
        async with daemon() as it:
            await it.start("a.service", service("ExecStart=/bin/sleep 1000"))
            status = await it.status("a.service")
            assert (status.active, status.sub, status.load) == (Active.ACTIVE, "running", "loaded")
            assert alive(status.main_pid)
            await it.client.stop("a.service")
            over = await it.is_over("a.service")
            assert (over.active, over.result, over.main_pid) == (Active.INACTIVE, "success", None)
            assert not alive(status.main_pid)

    asyncio.run(main())
