"""Container units under the real supervisor: from the text a person writes to a container, and to nothing again."""

from __future__ import annotations

import asyncio
import json
import os
import signal

from inaetics.supervisor import procfs
from inaetics.supervisor.protocol import Active
from inaetics.units.container import ContainerEngine
from tests.component.containers.conftest import Hosts
from tests.component.containers.tiny import containers, import_tiny, podman
from tests.component.containers.units import WITHIN_S, unit_on
from tests.support.eventually import aeventually
from tests.support.registry import RegistryServer

IMAGE = "localhost/tiny:latest"

UNIT = f"""
[Container]
Image={IMAGE}
Network=host
Pull=never
Environment=GREETING="hello there" WHO=%i ADDRESS=${{INAETICS_ADDRESS}}
StopTimeout=5
"""

TALKS_UNTIL_TOLD = """
trap 'echo told to stop; exit 0' TERM
echo "$GREETING, $WHO at $ADDRESS"; echo on the other output >&2
while :; do sleep 0.1; done
"""


def state_of(engine: ContainerEngine, container: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(podman(engine, "inspect", container))[0]["State"]
    return found


def test_a_unit_starts_talks_and_stops_in_its_own_time(hosts: Hosts) -> None:
    async def main() -> None:
        host = hosts()
        import_tiny(host.engine, IMAGE, TALKS_UNTIL_TOLD)
        async with unit_on(host, "felix@7.service", UNIT) as unit:
            await unit.start()
            status = await unit.becomes(Active.ACTIVE)
            assert containers(host.engine) == ["felix-7"]
            assert status.main_pid == state_of(host.engine, "felix-7")["ConmonPid"]
            assert "hello there, 7 at 127.9.9.9" in await unit.says("hello")
            await unit.says("on the other output")
            assert (await unit.stop()).active is Active.INACTIVE
            await unit.says("told to stop")
            assert containers(host.engine) == []

    asyncio.run(main())


def test_the_status_a_container_ends_with_is_the_units(hosts: Hosts) -> None:
    async def main() -> None:
        host = hosts()
        import_tiny(host.engine, IMAGE, "sleep 0.3; exit 3")
        async with unit_on(host, "ends.service", UNIT) as unit:
            await unit.start()
            status = await unit.becomes(Active.FAILED)
            assert (status.result, status.exit_status) == ("exit-code", 3)
            assert containers(host.engine) == []

    asyncio.run(main())


def test_a_container_that_does_not_listen_is_killed(hosts: Hosts) -> None:
    async def main() -> None:
        host = hosts()
        import_tiny(host.engine, IMAGE, "trap '' TERM; while :; do sleep 0.1; done")
        async with unit_on(host, "deaf.service", UNIT.replace("StopTimeout=5", "StopTimeout=1")) as unit:
            await unit.start()
            await unit.becomes(Active.ACTIVE)
            pid = state_of(host.engine, "systemd-deaf")["Pid"]
            await unit.stop()
            assert not procfs.identify(pid)
            assert containers(host.engine) == []

    asyncio.run(main())


def test_a_container_lives_through_the_death_of_its_supervisor(hosts: Hosts) -> None:
    async def main() -> None:
        host = hosts()
        import_tiny(host.engine, IMAGE, TALKS_UNTIL_TOLD)
        async with unit_on(host, "lives.service", UNIT) as unit:
            await unit.start()
            before = await unit.becomes(Active.ACTIVE)
            await unit.it.again()
            assert (await unit.becomes(Active.ACTIVE)).main_pid == before.main_pid
            await unit.stop()
            assert containers(host.engine) == []

    asyncio.run(main())


def test_a_unit_starts_again_after_its_container_and_monitor_were_killed(hosts: Hosts) -> None:
    async def main() -> None:
        host = hosts()
        import_tiny(host.engine, IMAGE, TALKS_UNTIL_TOLD)
        async with unit_on(host, "again.service", UNIT + "[Service]\nRestart=always\nRestartSec=0.1\n") as unit:
            await unit.start()
            first = await unit.becomes(Active.ACTIVE)
            state = state_of(host.engine, "systemd-again")
            for pid in (state["ConmonPid"], state["Pid"]):
                os.kill(pid, signal.SIGKILL)

            async def restarted() -> bool:
                status = await unit.it.status(unit.name)
                return status.active is Active.ACTIVE and status.main_pid != first.main_pid

            await aeventually(restarted, within_s=WITHIN_S, what="the unit runs again")
            assert state_of(host.engine, "systemd-again")["Pid"] != state["Pid"]
            await unit.stop()

    asyncio.run(main())


def test_a_missing_image_is_explained_in_the_units_journal(hosts: Hosts, registry: RegistryServer) -> None:
    async def main() -> None:
        host = hosts(registry)
        text = UNIT.replace(IMAGE, f"{registry.address}/inaetics/nowhere:latest").replace("Pull=never\n", "")
        async with unit_on(host, "lacks.service", text) as unit:
            await unit.start()
            await unit.becomes(Active.FAILED)
            assert "inaetics image build nowhere" in await unit.says("is not in any registry")

    asyncio.run(main())
