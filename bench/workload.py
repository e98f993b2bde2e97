"""Plain processes as units, and how they come and go while something is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.eventually import eventually

from bench.local import client_of, unit_processes, wait_for_units

COMMAND = "/bin/sleep 1000000"
TEXT = f"[Service]\nExecStart={COMMAND}\n"


@dataclass(slots=True, kw_only=True)
class Bench:
    """What every measurement is given. `quick` asks for few repetitions."""

    cluster: Cluster
    quick: bool = False
    _next: int = field(default=0)

    def repeat(self, times: int) -> range:
        return range(1 if self.quick else times)

    @property
    def template(self) -> Path:
        """A unit file on this machine whose instances can be started."""
        path = self.cluster.home / "plain@.service"
        path.write_text(TEXT)
        return path

    def fresh(self, count: int = 1) -> range:
        """Numbers of instances that were never used."""
        self._next += count
        return range(self._next - count + 1, self._next + 1)

    def timed(self, *command: str) -> float:
        begin = time.monotonic()
        self.cluster.run(*command, timeout_s=180)
        return time.monotonic() - begin

    def start(self, count: int) -> float:
        """`fleetctl start` of so many instances; seconds until it returned, which is when all run."""
        numbers = self.fresh(count)
        pattern = f"plain@{{{numbers[0]}..{numbers[-1]}}}.service"
        return self.timed("fleetctl", "start", str(self.template.with_name(pattern)))

    def tidy(self) -> None:
        """Destroy every unit, see that every process has gone, and let things settle."""
        with client_of(self.cluster) as client:
            if client.units().units:
                self.cluster.run("fleetctl", "destroy", "*", timeout_s=180)
        eventually(lambda: not unit_processes(self.cluster, COMMAND), within_s=60, what="no unit's process is left")
        self.settle()

    def settle(self) -> None:
        """Five machines are listed, and the file system's and kernel's afterthoughts are over."""
        with client_of(self.cluster) as client:
            eventually(lambda: len(client.machines()) == 5, within_s=60, what="five machines are listed")
        time.sleep(0.5 if self.quick else 3)

    def all_active(self, count: int, *, within_s: float = 60) -> float:
        """Wait until so many units are active; returns when."""
        with client_of(self.cluster) as client:
            return wait_for_units(
                client,
                lambda units: sum(unit.active == "active" for unit in units.values()) == count,
                within_s=within_s,
                what=f"{count} units are active",
            )
