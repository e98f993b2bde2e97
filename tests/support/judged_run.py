"""A run of the demonstrator in a real cluster under load and power cuts, watched all the time and judged at the end.

The page's accounting is read every second; each one that did not hold is kept. At the end the producers are stopped,
the queue runs empty, and `inaetics.demonstrator.check` compares all hosts' sequence logs with the datastore's file.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.files import below

PATIENCE_S = 120
LOOK_S = 1.0


@dataclass(slots=True)
class Watched:
    """What the page said: how often, how often nothing, and each accounting that did not hold."""

    looks: int = 0
    silent: int = 0
    red: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """What came of a run. `kills` are "host: what ran there", `met` the bundles of the agents that died with it;
    `verdict` is the judge's last line, `guilty` all it said when it found something."""

    watched: Watched
    kills: list[str] = field(default_factory=list)
    met: set[str] = field(default_factory=set)
    verdict: str = ""
    guilty: str = ""

    def told(self) -> str:
        """For whoever keeps it."""
        last = {name: self.watched.last.get(name) for name in ("produced", "refused", "stored", "lost_with_queue")}
        return (
            f"{len(self.kills)} power cuts; {last}; the accounting was read {self.watched.looks} times, did not hold"
            f" {len(self.watched.red)} times, was not to be had {self.watched.silent} times; judge: {self.verdict}"
        )


MOST_SILENT = 0.1
"""Of all looks at the accounting. The worker of the page itself is not killed in a run: it can nearly always be had."""


def faults(run: Run, *, met: set[str]) -> list[str]:
    """What speaks against a run, in sentences, also that something was not seen; `met` must have died in it. Pure."""
    watched = run.watched
    found = [run.guilty] if run.guilty else []
    if not run.verdict.endswith("nothing missing, nothing twice"):
        found.append(f"the judge did not acquit: {run.verdict or 'it said nothing'}")
    if watched.red:
        found.append(f"the accounting did not hold {len(watched.red)} times, first: {watched.red[0]}")
    if watched.silent > watched.looks * MOST_SILENT or not watched.looks:
        found.append(f"the accounting was not to be had in {watched.silent} of {watched.looks} looks")
    if not watched.last.get("holds") or watched.last.get("lost_with_queue") != 0:
        found.append(f"the last accounting does not say that all is well: {watched.last}")
    if missing := met - run.met:
        found.append(f"no agent with {', '.join(sorted(missing))} died ({'; '.join(run.kills) or 'nobody was killed'})")
    return found


def accounting(cluster: Cluster) -> dict[str, Any]:
    """The page's accounting. Raises OSError while there is no page, AssertionError while there is no accounting."""
    stats = cluster.page("/systemStats")
    assert stats.get("accounting"), stats
    said: dict[str, Any] = stats["accounting"]
    return said


def set_load(cluster: Cluster, percent: float) -> None:
    """As a person at the page does it, with the cluster's token. Raises OSError."""
    _post(cluster, "/utilisation", {"utilisation": percent})


def set_cost(cluster: Cluster, us: float) -> None:
    """As `set_load`, for processors."""
    _post(cluster, "/cost", {"us": us})


def steady(cluster: Cluster, agents: int) -> None:
    """So many agents of each kind, by hand: nobody else starts any."""

    def manual() -> bool:
        _post(cluster, "/automatic", {"on": False})
        return True

    eventually(manual, within_s=PATIENCE_S, what="the autoscaler is off")
    cluster.run("inaetics_fleet_manager", "--start", f"--celixAgents={agents}", f"--felixAgents={agents}")


def _post(cluster: Cluster, path: str, content: dict[str, Any]) -> None:
    (token,) = [path for path in below(cluster.home) if path.parts[-2:] == ("pki", "token")]
    request = urllib.request.Request(
        cluster.status()["web"] + path,
        data=json.dumps(content).encode(),
        headers={"Authorization": f"Bearer {token.read_text().strip()}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10):
            pass
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error


@contextmanager
def watching(cluster: Cluster) -> Iterator[Watched]:
    """Read the page's accounting every second, on a thread, until the block ends."""
    watched, ended = Watched(), threading.Event()
    web = cluster.status()["web"]

    def look() -> None:
        while not ended.wait(LOOK_S):
            watched.looks += 1
            try:
                with urllib.request.urlopen(web + "/systemStats", timeout=5) as answer:
                    said = json.load(answer)["accounting"]
            except OSError:
                said = None
            if said is None:
                watched.silent += 1
                continue
            if not said["holds"] and said["at_ms"] != watched.last.get("at_ms"):
                watched.red.append(said)
            watched.last = said

    thread = threading.Thread(target=look, name="watching the accounting")
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()


def run_with_kills(cluster: Cluster, *, minutes: int, percent: float) -> Run:
    """Every minute a power cut for a worker that has neither queue nor datastore; it is switched on 15 s later."""
    load(cluster, percent)
    with watching(cluster) as watched:
        run = Run(watched)
        turn = itertools.count()
        for _ in range(minutes):
            began = time.monotonic()
            _kill_one(cluster, run, next(turn))
            load(cluster, percent)  # a producer that began anew has its first rate
            time.sleep(max(0.0, 60 - (time.monotonic() - began)))  # the load between two deaths
        run_dry(cluster)
        run.verdict, run.guilty = judged(cluster)
    return run


def _kill_one(cluster: Cluster, run: Run, turn: int) -> None:
    where = cluster.where()
    spared = {where["felix@1.service"], where["felix@2.service"]}
    hosts = sorted({host["name"] for host in cluster.status()["hosts"] if host["role"] == "worker"} - spared)
    host = hosts[turn % len(hosts)]
    note_death(cluster, run, host)
    cluster.run("inaetics", "kill", host)
    time.sleep(15)  # longer than it takes to notice and to start elsewhere what ran there
    cluster.run("inaetics", "up", host)


def note_death(cluster: Cluster, run: Run, host: str) -> None:
    """Write down who will die with `host`."""
    units = sorted(unit for unit, there in cluster.where().items() if there == host)
    bundles = {agent["agent"]: agent["bundles"] for agent in cluster.page("/clusterInfo")["agents"]}
    for unit in units:
        run.met |= {bundle.split()[0] for bundle in bundles.get(unit.removesuffix(".service"), ())}
    run.kills.append(f"{host}: {', '.join(units)}")


def load(cluster: Cluster, percent: float) -> None:
    """`set_load`, trying until it is done."""

    def done() -> bool:
        set_load(cluster, percent)
        return True

    eventually(done, within_s=PATIENCE_S, what=f"the load is set to {percent} %")


def run_dry(cluster: Cluster) -> dict[str, Any]:
    """Stop the producers and wait until all that was accepted is stored; returns the last accounting."""

    def dry() -> dict[str, Any]:
        set_load(cluster, 0)
        before = accounting(cluster)
        later = eventually(lambda: _younger(cluster, before["at_ms"] + 2000), within_s=30, what="a later accounting")
        assert (later["produced"], later["queued"], later["in_flight"]) == (before["produced"], 0, 0), later
        return later

    return eventually(dry, within_s=PATIENCE_S, what="nothing is under way any more")


def _younger(cluster: Cluster, at_ms: int) -> dict[str, Any]:
    said = accounting(cluster)
    assert said["at_ms"] > at_ms, said
    return said


def judged(cluster: Cluster) -> tuple[str, str]:
    """The judge's last line, and everything it said when it found something."""
    host = cluster.where()["felix@1.service"]
    (store,) = [path for path in below(cluster.home) if path.name == "samples.sqlite" and host in path.parts]
    command = [sys.executable, "-m", "inaetics.demonstrator.check", "--logs", str(cluster.home), "--store", str(store)]
    command.append("--complete")  # hosts' directories are all here, and the oldest log is there still
    judge = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = (judge.stdout + judge.stderr).strip().splitlines()
    return lines[-1], "" if judge.returncode == 0 else "\n".join(lines)
