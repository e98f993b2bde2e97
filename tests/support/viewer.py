"""The viewer as in an agent, with everything around it made up: `python -m tests.support.viewer --port 8080`.

It serves the page's files as they are on disk at each request, so that a reload shows what was just written. The token
of its controls is "test-token".
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from pelix.ipopo.constants import use_ipopo
from typing_extensions import override

from inaetics.demonstrator.api import (
    ACCOUNTING,
    AGENT_STATISTICS,
    BURST,
    CLUSTER_INFO,
    COORDINATOR,
    MODES,
    PERIODIC,
    PIPELINE_CONTROL,
    AgentReport,
    Stat,
    Word,
)
from inaetics.demonstrator.bundles.viewer import component
from inaetics.demonstrator.bundles.viewer.answers import Answer, files_of
from inaetics.demonstrator.bundles.viewer.history import History
from inaetics.demonstrator.bundles.viewer.watch import INTERVAL_S
from inaetics.demonstrator.settings import one_of
from inaetics.demonstrator.told import Told
from inaetics.node import api
from inaetics.provisioning.framework import FrameworkSettings, start_framework, stop_framework
from tests.support.made_up import TOKEN, Fake, World

STEP_S = 0.1


class Moded:
    """A made-up agent that has a mode, and knows what it was told."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self._told = Told()
        self.mode = PERIODIC

    def report(self) -> AgentReport:
        report = self._fake.report()
        if self._fake.role != "producer":
            return report
        return replace(report, stats=[*report.stats, Stat("in bursts", "gauge", "", float(self.mode == BURST))])

    def set_utilisation(self, percent: float) -> None:
        self._fake.set_utilisation(percent)
        self._told.note("set_utilisation", percent)

    def set_cost(self, us: float) -> None:
        self._fake.set_cost(us)
        self._told.note("set_cost", us)

    def set_mode(self, mode: str) -> None:
        self._fake._wait()
        self.mode = one_of(mode, MODES, "a mode")
        self._told.note("set_mode", mode)

    def rate(self) -> float:
        return self._fake.rate()

    def told(self) -> list[Word]:
        return self._told.words()


class Stage:
    """A viewer among fakes. Use it with ``with``; `url` is the page."""

    def __init__(
        self,
        world: World,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        coordinator: bool = True,
        live_files: bool = False,
        speed: float = 1.0,
    ) -> None:
        """`speed` is how much faster than the clock the world goes."""
        self.world = world
        self._address, self._port = address, port or _free_port(address)
        self._coordinator = coordinator
        self._live_files = live_files
        self._speed = speed
        self._coordinating: list[Any] = []
        self._registrations: dict[Fake, list[Any]] = {}
        self.moded: dict[str, Moded] = {}
        self._stopping = threading.Event()
        self._mover = threading.Thread(target=self._move, name="made-up world", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self._port}"

    def __enter__(self) -> Stage:
        properties = {api.AGENT: "felix@1", api.ADDRESS: self._address, api.HOST: "worker-1"}
        self._framework = start_framework(
            FrameworkSettings(address=self._address, page_port=self._port, shell_port=0, properties=properties)
        )
        self.context = self._framework.get_bundle_context()
        self.world.came, self.world.went = self._came, self._went
        self.world.populate()
        self.context.register_service(ACCOUNTING, self.world, {})
        if self._coordinator:
            self._coordinate()
        self.context.install_bundle(component.__name__).start()
        with use_ipopo(self.context) as ipopo:
            self.viewer: Any = ipopo.get_instance(component.__name__ + ".viewer")
        if self._live_files:
            self.viewer._files = _LiveFiles()
        self._mover.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._mover.join()
        self.world.end.set()
        stop_framework(self._framework)

    def has_lived(self, seconds: float, then: Mapping[float, Callable[[], None]]) -> None:
        """Let so much time have gone by before now, for pictures: graphs are full at once. `then`: what happened, by
        seconds ago, in halves."""
        watch, history = self.viewer._watch, History()
        for tick in range(round(seconds / INTERVAL_S), 0, -1):
            ago_s = tick * INTERVAL_S
            then.get(ago_s, lambda: None)()
            self.world.step(INTERVAL_S)
            now_s, now_ms = time.monotonic() - ago_s, watch._now_ms() - round(ago_s * 1000)
            for moded in list(self.moded.values()):
                history.heard(moded.report(), now_s=now_s, now_ms=now_ms)
        with watch._lock:
            watch._board.history = history

    @contextlib.contextmanager
    def without_coordinator(self) -> Iterator[None]:
        """Its bundle is gone for a while."""
        while self._coordinating:
            self._coordinating.pop().unregister()
        try:
            yield
        finally:
            self._coordinate()

    def _coordinate(self) -> None:
        for specification in (COORDINATOR, CLUSTER_INFO):
            self._coordinating.append(self.context.register_service(specification, self.world, {}))

    def _came(self, fake: Fake) -> None:
        moded = self.moded[fake.name] = Moded(fake)
        held = [self.context.register_service(AGENT_STATISTICS, moded, {api.REMOTE_AGENT: fake.name})]
        if fake.role in ("producer", "processor"):
            held.append(self.context.register_service(PIPELINE_CONTROL, moded, {api.REMOTE_AGENT: fake.name}))
        self._registrations[fake] = held

    def _went(self, fake: Fake) -> None:
        for registration in self._registrations.pop(fake, ()):
            registration.unregister()

    def _move(self) -> None:
        while not self._stopping.wait(STEP_S):
            self.world.step(STEP_S * self._speed)


class _LiveFiles(dict[str, Answer]):
    """The page's files as they are now."""

    @override
    def __contains__(self, path: object) -> bool:
        return path in _now()

    @override
    def __getitem__(self, path: str) -> Answer:
        return _now()[path]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(_now())


def _now() -> dict[str, Answer]:
    return files_of(Path(component.__file__).parent / "static", files("inaetics.look"))


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as server:
        return int(server.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--hanging", type=int, default=0, help="so many processors never answer")
    parser.add_argument("--broken-accounting", action="store_true", help="the sum does not hold")
    parser.add_argument("--no-coordinator", action="store_true", help="no scaling and no cluster")
    parser.add_argument("--kill-every", type=float, default=0, help="seconds between deaths of a worker, in turns")
    given = parser.parse_args()
    world = World(
        given.agents, hanging=given.hanging, holds=not given.broken_accounting, start_ms=round(time.time() * 1000)
    )
    with Stage(
        world, address=given.address, port=given.port, coordinator=not given.no_coordinator, live_files=True
    ) as stage:
        print(stage.url, flush=True)  # noqa: T201 - for whoever started it
        with contextlib.suppress(KeyboardInterrupt):
            _live(world, given.kill_every)


def _live(world: World, kill_every_s: float) -> None:
    turn = 0
    while True:
        time.sleep(kill_every_s or 3600)
        if kill_every_s:
            host = f"worker-{2 + turn % 4}"
            turn += 1
            if world.hosts[host][0] == "up":
                world.kill(host, token=TOKEN)
            else:
                world.start(host, token=TOKEN)


if __name__ == "__main__":
    main()
