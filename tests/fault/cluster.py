"""A cluster whose hosts have network namespaces of their own: the real daemons, certificates and system units.

What differs from `inaetics up`: hosts are started inside their namespace, and control hosts are told who is a member of
the store instead of finding each other on a bootstrap host. Nothing of it is in the machine's own network.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from inaetics.api.client import FleetClient
from inaetics.api.wire import UnitList
from inaetics.errors import Unavailable
from inaetics.hosts.cluster import Cluster, control_of, machine_id, save
from inaetics.hosts.formation import FORMING
from inaetics.hosts.halt import halt_hosts
from inaetics.hosts.host_files import write_host
from inaetics.hosts.local import start_keeper, wipe_run
from inaetics.hosts.observe import HostState, observe
from inaetics.hosts.paths import FLEET_SOCKET, SHELL, ClusterPaths
from inaetics.hosts.pki import ensure_authorities
from inaetics.hosts.processes import alive, power_cut, processes
from inaetics.hosts.progress import Silence
from inaetics.hosts.system_units import ETCD
from inaetics.ports import PEER_PORT
from inaetics.supervisor.client import EmbeddedSupervisor
from inaetics.supervisor.protocol import Active, UnitStatus
from tests.fault import history
from tests.fault.clock import boottime
from tests.fault.history import History
from tests.fault.network import SUBNET, Network
from tests.fault.store import FaultStore
from tests.fault.validators import BEAT_S
from tests.support.eventually import eventually

Answer = TypeVar("Answer")

_ROOT = Path(__file__).parents[2]

GLOBAL = ("Global=true",)
STOPS = ("OnLost=stop",)

QUOTA_BYTES = 24 * 1024 * 1024
"""Of the store: small, so that a test can fill it. Everything else here needs a tenth of it."""

_UNIT = f"""\
# Says that it lives, and when it was told to stop. $1: the unit, $2: the directory of what units say.
file="$2/$1"
say() {{ read -r now rest < /proc/uptime; echo "$now $1 $INAETICS_HOST $unit $$" >> "$file"; }}
unit="$1"
trap 'say stop; exit 0' TERM
say start
while :; do sleep {BEAT_S} & wait $!; say beat; done
"""


class FaultCluster:
    """Workers `worker-1` … of which the first three are control hosts. Use `fault_cluster`, which cleans up."""

    def __init__(self, directory: Path, *, workers: int) -> None:
        name = f"fault-{os.getpid()}"
        self.paths = ClusterPaths(name=name, state=directory / name, run=Path("/run/inaetics") / name)
        self.network = Network(f"inaetics-{os.getpid()}")
        self.cluster = Cluster(
            name=name, subnet=SUBNET, workers=workers, control=control_of(workers), created=time.time(), id=name
        )
        self.hosts = tuple(host for host in self.cluster.hosts if host.name.startswith("worker-"))
        self.names = tuple(host.name for host in self.hosts)
        self.control = self.cluster.control
        self.store = FaultStore(self.network, self.paths, self.cluster)
        self.wanted: dict[str, tuple[str, ...]] = {}
        """Units that are to run, each with its options of [X-Fleet]."""
        self._said = directory / "units"
        self._script = directory / "unit.sh"
        self._record = directory / "store.jsonl"
        self._markers = 0

    # Making it.

    @contextmanager
    def running(self, evidence: Path) -> Iterator[None]:
        """Make everything, start it, and end it with the block."""
        self._write_files()
        with self._watched():
            self.network.create()
            for host in self.hosts:
                self.network.add(host.name, host.address)
            try:
                self._begin()
            except BaseException:
                self.keep_evidence(evidence)
                raise
            with self._recorder():
                self._until_recorded()
                yield

    def _begin(self) -> None:
        self.boot(*self.names)
        eventually(self._stored, within_s=60, what="the store has formed")
        self._beside_all("tests.fault.confine", str(self.paths.state), str(self.paths.run))
        self.until_healthy(within_s=60)

    def _write_files(self) -> None:
        self._said.mkdir(parents=True)
        self._script.write_text(_UNIT)
        self.paths.state.mkdir(parents=True, mode=0o700)
        save(self.paths, self.cluster)
        authorities = ensure_authorities(self.paths, self.cluster.name)
        members = {host.name: f"https://{host.address}:{PEER_PORT}" for host in self.hosts if host.control}
        for host in self.hosts:
            paths = self.paths.host(host.name)
            if host.control:
                paths.etcd.mkdir(parents=True, mode=0o700)
                (paths.etcd / FORMING).touch()
                (paths.etcd / "formation.json").write_text(json.dumps(members))
            write_host(self.cluster, host, paths, authorities)
            if host.control:
                config = json.loads((paths.state / "etcd.yml").read_text())
                (paths.state / "etcd.yml").write_text(json.dumps({**config, "quota-backend-bytes": QUOTA_BYTES}))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        hosts = ",".join((*self.names, "recorder"))
        namespaces = ",".join(self.network.names(self.names))
        command = [sys.executable, "-m", "tests.fault.watchdog", str(self.paths.state), str(self.paths.run)]
        command += [hosts, namespaces]
        with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, start_new_session=True) as watchdog:
            try:
                yield
            finally:
                assert watchdog.stdin is not None
                watchdog.stdin.close()
                watchdog.wait(timeout=30)
        assert watchdog.returncode == 0

    @contextmanager
    def _recorder(self) -> Iterator[None]:
        pki = self.paths.pki
        files = [str(pki / name) for name in ("ca.pem", "operator.pem", "operator.key")]
        command = [*self.network.enter(), sys.executable, "-m", "tests.fault.recorder", *files]
        command += self.cluster.etcd_endpoints
        marked = {**os.environ, SHELL: self.paths.host("recorder").marker}
        with (
            self._record.open("ab") as output,
            self._record.with_suffix(".log").open("ab") as log,
            subprocess.Popen(
                command, cwd=_ROOT, env=marked, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            ) as recorder,
        ):
            try:
                yield
            finally:
                recorder.kill()

    def _beside_all(self, module: str, *words: str) -> None:
        command = [*self.network.enter(), sys.executable, "-m", module, *words]
        subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, timeout=60, check=True)

    def _stored(self) -> bool:
        return all(self.units_of(host)[ETCD].active is Active.ACTIVE for host in self.control)

    # Hosts.

    def boot(self, *names: str) -> None:
        """Switch hosts on from nothing; one that is on stays as it is."""
        running = processes()
        for name in names:
            paths = self.paths.host(name)
            if not alive(paths, running):
                wipe_run(paths)
                start_keeper(paths, within=self.network.enter(name))

    def power_cut(self, *names: str) -> None:
        """Kill everything on these hosts at once."""
        power_cut([self.paths.host(name) for name in names])

    def halt(self) -> None:
        """Switch everything off in order, as `inaetics halt` does."""
        asyncio.run(halt_hosts(self.cluster, self.hosts, self.paths, Silence()))

    def units_of(self, host: str) -> dict[str, UnitStatus]:
        """What the supervisor of `host` has. Raises OSError while it does not answer."""
        try:
            return asyncio.run(self.supervisor(host).states())
        except Unavailable as error:
            raise OSError(str(error)) from error

    def pid(self, host: str, unit: str) -> int:
        """The main process of a unit, or of the host's `supervisor`. Raises OSError when there is none."""
        if unit == "supervisor":
            try:
                return asyncio.run(self.supervisor(host).ping())
            except Unavailable as error:
                raise OSError(str(error)) from error
        pid = self.units_of(host)[unit].main_pid
        if pid is None:
            raise OSError(f"{unit} does not run on {host}")
        return pid

    def system_units(self, host: str) -> list[str]:
        """The daemons of `host`, its supervisor included."""
        known = self.units_of(host)
        return ["supervisor", *(name for name, unit in known.items() if unit.system and unit.main_pid is not None)]

    def lines_of(self, host: str, unit: str) -> int:
        """How many lines a unit has written so far."""
        journal = self.paths.host(host).supervisor / "journal" / unit / "current"
        return len(journal.read_text().splitlines())

    def supervisor(self, host: str) -> EmbeddedSupervisor:
        return EmbeddedSupervisor(self.paths.host(host).supervisor_socket)

    # The fleet.

    def ask(self, question: Callable[[FleetClient], Answer], *, besides: Collection[str] = ()) -> Answer:
        """Put `question` to the first API that answers with what is true now; `besides`: not to these hosts'."""
        refusals = []
        for name in self.control:
            if name in besides:
                continue
            try:
                with FleetClient(f"unix://{self.paths.host(name).run / FLEET_SOCKET}", timeout_s=10) as client:
                    answer = question(client)
                    if client.stale is None:
                        return answer
                    refusals.append(f"{name}: {client.stale}")
            except Unavailable as error:
                refusals.append(f"{name}: {error}")
        raise OSError(f"no API answers: {'; '.join(refusals)}")

    def submit(self, name: str, *, options: tuple[str, ...] = ()) -> None:
        """Start a unit that says that it lives."""
        text = self.unit_text(options)
        self.ask(lambda client: client.submit(name, text, desired="launched"))
        self.wanted[name] = options

    def destroy(self, name: str, *, besides: Collection[str] = ()) -> None:
        """Have a unit stopped and forgotten; return once nothing is left of it, on hosts that are not `besides`."""
        del self.wanted[name]
        self.ask(lambda client: client.destroy(name), besides=besides)
        self.until_gone(name, besides=besides)

    def until_gone(self, name: str, *, besides: Collection[str] = ()) -> None:
        def gone() -> bool:
            states = self.ask(lambda client: client.states(), besides=besides).states
            return name not in {state.name for state in states if state.machine.name not in besides}

        eventually(gone, within_s=30, what=f"{name} is gone")

    def spread(self) -> None:
        """See to it that something of each kind runs on every host: what was moved away does not return by itself."""
        kinds: dict[tuple[str, ...], list[str]] = {}
        for unit, options in self.wanted.items():
            if options != GLOBAL:
                kinds.setdefault(options, []).append(unit)
        where = self.where()
        if all({where[unit] for unit in units} == set(self.names) for units in kinds.values()):
            return
        for unit in [unit for units in kinds.values() for unit in units]:
            self.destroy(unit)
        for options, units in kinds.items():
            for unit in units:
                self.submit(unit, options=options)
            self.until_healthy(within_s=30)

    def unit_text(self, options: Iterable[str] = ()) -> str:
        fleet = "\n".join(("[X-Fleet]", *options)) if options else ""
        command = f"/bin/sh {self._script} %n {self._said}"
        return f"[Unit]\nDescription=Says that it lives\n[Service]\nExecStart={command}\nTimeoutStopSec=1\n{fleet}\n"

    def where(self, *, besides: Collection[str] = ()) -> dict[str, str]:
        """Unit → host, of every unit that is not global and has a place."""
        listing: UnitList = self.ask(lambda client: client.units(), besides=besides)
        return {unit.name: unit.machine.name for unit in listing.units if unit.machine and not unit.is_global}

    def engine_leader(self) -> str:
        """The host whose engine leads."""
        leader = self.ask(lambda client: client.health()).leader
        assert leader is not None, "no engine leads"
        return leader

    # Its operator.

    def inaetics(self, *words: str) -> str:
        """Run `inaetics` for this cluster, as its operator does."""
        command = [*self.network.enter(), str(Path(sys.executable).with_name("inaetics")), *words]
        environment = {**os.environ, "INAETICS_HOME": str(self.paths.state.parent), "INAETICS_CLUSTER": self.paths.name}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"inaetics {' '.join(words)}: {done.stderr}"
        return done.stdout

    # Health and history.

    def until_healthy(self, *, within_s: float) -> None:
        """Wait until every host runs, every machine is listed, an engine leads, and every unit is where it shall be."""
        eventually(self._healthy, within_s=within_s, what="the cluster is healthy")

    def _healthy(self) -> bool:
        seen = asyncio.run(observe(self.paths, self.hosts))
        ill = {name: each.trouble for name, each in seen.items() if each.state is not HostState.RUNNING}
        assert not ill, f"hosts are ill: {ill}"
        health = self.ask(lambda client: client.health())
        assert (health.machines, health.store) == (len(self.hosts), "ok"), health
        assert health.leader, "no engine leads"
        listing: UnitList = self.ask(lambda client: client.units())
        waiting = [unit.name for unit in listing.units if unit.name in self.wanted and not self._is_up(unit.name)]
        assert not waiting, f"units do not run: {waiting}"
        return True

    def _is_up(self, unit: str) -> bool:
        states = self.ask(lambda client: client.states()).states
        active = [state for state in states if state.name == unit and state.active == "active"]
        return len(active) == (len(self.hosts) if self.wanted[unit] == GLOBAL else 1)

    def history(self) -> History:
        """Everything until now; returns once the recorder has caught up and every live unit has had its say."""
        now = boottime()
        self._until_recorded()
        time.sleep(BEAT_S)
        records = [json.loads(line) for line in self._recorded().splitlines()]
        lines = (line for file in sorted(self._said.iterdir()) for line in file.read_text().splitlines())
        return History(
            runs=history.runs(lines),
            placements=history.placements(records, self._machines()),
            losses=history.losses(records, self._machines()),
            everywhere=frozenset(unit for unit, options in self.wanted.items() if options == GLOBAL),
            until=now,
        )

    def _until_recorded(self) -> None:
        self._markers += 1
        marker = f'"/fault/marker/{self._markers}"'
        self.store.put(json.loads(marker))
        eventually(lambda: marker in self._recorded(), within_s=30, what="the recorder has caught up")

    def _recorded(self) -> str:
        text = self._record.read_text()
        return text[: text.rfind("\n") + 1]

    def _machines(self) -> Mapping[str, str]:
        return {machine_id(self.paths.host(name)): name for name in self.names}

    def keep_evidence(self, directory: Path) -> None:
        """Copy what is needed to understand a failure: what units said, the store's revisions, all journals."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        shutil.copytree(self._said, directory / "units")
        for file in (self._record, self._record.with_suffix(".log")):
            with suppress(FileNotFoundError):
                shutil.copy(file, directory)
        for name in self.names:
            with suppress(FileNotFoundError):
                shutil.copytree(self.paths.host(name).supervisor / "journal", directory / "journals" / name)
        status: dict[str, Any] = {"boottime": boottime(), "time": time.time()}
        with suppress(OSError):
            status["where"] = self.where()
        (directory / "status.json").write_text(json.dumps(status, indent=2))


@contextmanager
def fault_cluster(directory: Path, *, evidence: Path, workers: int = 5) -> Iterator[FaultCluster]:
    """A healthy cluster. Raises RuntimeError where there can be none; of one that does not start `evidence` is kept."""
    if reason := Network.unavailable():
        raise RuntimeError(f"cannot run hosts in networks of their own: {reason}")
    made = FaultCluster(directory, workers=workers)
    with made.running(evidence):
        yield made
