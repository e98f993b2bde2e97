"""Container units under the real supervisor: from the text a person writes to a container, and to nothing again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from inaetics import resources
from inaetics.containers.images import Built, local_reference
from inaetics.containers.store import recover
from inaetics.supervisor import procfs
from inaetics.supervisor.protocol import Active, UnitStatus
from inaetics.units.container import ContainerEngine, to_service
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from tests.component.containers.conftest import Host, Hosts
from tests.component.containers.tiny import containers, import_tiny, podman
from tests.component.supervisor.daemon import Daemon, daemon
from tests.support.eventually import aeventually
from tests.support.registry import RegistryServer

IMAGE = "localhost/tiny:latest"
WITHIN_S = 60.0

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


LOOKS_AROUND = """
import os, pathlib, signal, sys
def attempt(action):
    try: return action() or 'done'
    except OSError as error: return type(error).__name__
print('AGENT', os.environ['INAETICS_AGENT'], os.environ['INAETICS_ADDRESS'], os.environ['INAETICS_HOST'],
      os.environ['INAETICS_ETCD_ENDPOINTS'], os.environ['INAETICS_PAGE_PORT'], os.environ['INAETICS_SHELL_PORT'])
print('KEY', pathlib.Path('/run/inaetics/tls/key.pem').read_text())
print('DATA', attempt(lambda: pathlib.Path('/var/lib/inaetics/kept').write_text('x') and None))
print('ROOT', attempt(lambda: pathlib.Path('/etc/kept').write_text('x') and None))
print('TLS', attempt(lambda: pathlib.Path('/run/inaetics/tls/kept').write_text('x') and None))
print('TMP', attempt(lambda: pathlib.Path('/tmp/kept').write_text('x') and None))
print('RIGHTS', [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'NoNewPrivs'))])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True: signal.pause()
"""

SHIPPED = {
    "felix@2.service": ("felix@.container", "felix-agent", "felix@2", "8080 2019"),
    "celix@1.service": ("celix@.container", "celix-agent", "celix@1", "8081 2020"),
    "provisioning.service": ("provisioning.container", "provisioning", "provisioning", "8080 2019"),
}


@pytest.mark.parametrize(
    "name", ["felix@2.service", pytest.param("celix@1.service", marks=pytest.mark.soak), "provisioning.service"]
)
def test_the_systems_units_run_confined_and_with_all_they_need(
    name: str, hosts: Hosts, pusher: ContainerEngine, built: list[Built], registry: RegistryServer, tmp_path: Path
) -> None:
    """The shipped unit as it is, the shipped image but for its command."""
    file, image, agent, ports = SHIPPED[name]
    tls = tmp_path / "tls"
    tls.mkdir()
    (tls / "key.pem").write_text("secret")
    (tls / "key.pem").chmod(0o600)

    async def main() -> None:
        publish_image_that_looks_around(pusher, registry, image)
        environment = {
            "INAETICS_REGISTRY": registry.address,
            "INAETICS_ETCD_ENDPOINTS": "https://127.9.9.9:2379",
            "INAETICS_NODE_TLS": str(tls),
            "INAETICS_STATE": str(tmp_path),
        }
        host, text = hosts(registry), (resources.units_directory() / file).read_text()
        async with unit_on(host, name, text, **environment) as unit:
            await unit.start()
            await unit.becomes(Active.ACTIVE)
            assert f"AGENT {agent} 127.9.9.9 worker-1 https://127.9.9.9:2379 {ports}" in await unit.says("AGENT")
            assert "KEY secret" in await unit.says("KEY")
            assert "DATA done" in await unit.says("DATA")
            assert "ROOT OSError" in await unit.says("ROOT")
            assert "TLS OSError" in await unit.says("TLS")
            assert "TMP done" in await unit.says("TMP")
            assert "RIGHTS ['0000000000000000', '1']" in await unit.says("RIGHTS")
            assert (tmp_path / "data" / name.removesuffix(".service") / "kept").read_text() == "x"
            assert (await unit.stop()).active is Active.INACTIVE
            recover(host.engine)

    asyncio.run(main())


def publish_image_that_looks_around(engine: ContainerEngine, registry: RegistryServer, name: str) -> None:
    command = json.dumps(["python3", "-c", LOOKS_AROUND])
    reference = f"{registry.address}/inaetics/{name}:latest"
    recipe = f"FROM {local_reference(name)}\nCMD {command}\n".encode()
    podman(engine, "build", "--quiet", "--tag", reference, "--file", "-", stdin=recipe)
    podman(engine, "push", "--quiet", *engine.pull_flags, reference)
    with registry.client() as client:
        assert client.image(f"inaetics/{name}", "latest").size > 0
