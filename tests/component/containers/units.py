"""A container unit under a real supervisor, and words to say what is expected of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from inaetics.supervisor.protocol import Active, UnitStatus
from inaetics.units.container import to_service
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from tests.component.containers.conftest import Host
from tests.component.supervisor.daemon import Daemon, daemon
from tests.support.eventually import aeventually

WITHIN_S = 60.0


class Unit:
    """One container unit on a host with a supervisor."""

    def __init__(self, it: Daemon, host: Host, name: str, text: str) -> None:
        self.it, self.host, self.name = it, host, name
        self._service = str(to_service(parse(text, source=name), parse_name(name), host.engine))

    async def start(self) -> None:
        await self.it.start(self.name, self._service)

    async def becomes(self, *states: Active, sub: str = "") -> UnitStatus:
        """Wait for one of these states."""

        async def look() -> UnitStatus | None:
            status = await self.it.status(self.name)
            fits = status.active in states and sub in ("", status.sub)
            assert fits, f"{status}; journal: {await self.it.journal(self.name)}"
            return status

        status = await aeventually(look, within_s=WITHIN_S, what=f"{self.name} is {states}")
        assert status is not None
        return status

    async def stop(self) -> UnitStatus:
        await self.it.client.stop(self.name)
        return await self.becomes(Active.INACTIVE, Active.FAILED)

    async def says(self, word: str) -> str:
        """Wait until a line of the journal holds `word`."""

        async def look() -> str:
            lines = await self.it.journal(self.name)
            return next((line for line in lines if word in line), "")

        return await aeventually(look, within_s=WITHIN_S, what=f"{self.name} says {word!r}")


@asynccontextmanager
async def unit_on(host: Host, name: str, text: str, **environment: str) -> AsyncIterator[Unit]:
    """A unit on a host with a running supervisor, loaded and not started."""
    async with daemon() as it:
        variables = {"INAETICS_ADDRESS": "127.9.9.9", **environment}
        with it.environment_file.open("a") as file:
            file.writelines(f"{key}={value}\n" for key, value in variables.items())
        yield Unit(it, host, name, text)
