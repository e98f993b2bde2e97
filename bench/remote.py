"""Remote calls between two agents' frameworks, through real proxies: `.venv/bin/python -m bench.remote [--seconds N]`.

Two processes on loopback, each a Pelix framework with our distribution; the endpoint travels over a pipe instead of
etcd. One sample a call shows what a call costs; a thousand samples a call show what moving data costs. Futures are kept
in flight, so many that the connection is never idle; one-way calls end with one that is answered.

The column CPU is what one call costs both processes together: it says more than calls a second when other programs run
beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelix.framework import Framework, create_framework
from pelix.rsa import RemoteServiceAdmin
from pelix.rsa.topologymanagers.basic import instantiate_basic_topology_manager

from bench import baselines
from bench.machine import table
from inaetics.demonstrator.api import Sample
from inaetics.node import api
from inaetics.node.agent import REMOTE_BUNDLES
from inaetics.node.collector import relax_collector
from inaetics.node.remote.discovery import decode_endpoint, encode_endpoint
from inaetics.node.remote.distribution import Distribution
from inaetics.node.remote.proxies import asynchronous, one_way
from inaetics.node.remote.tls import tls_contexts

SPECIFICATION = "bench.samples"
ADDRESS = "127.0.0.1"
BATCH = 1000


class Samples:
    """What is called: it takes samples and counts them."""

    def put(self, sample: Sequence[Any]) -> bool:
        return bool(sample)

    def put_all(self, samples: Sequence[Any]) -> int:
        return len(samples)

    def hold(self, seconds: float) -> None:
        """A call that lasts, for who wants to be in the middle of one."""
        time.sleep(seconds)


def framework_with_distribution(tls: Path | None) -> tuple[Framework, Distribution]:
    relax_collector()  # as agents do
    framework = create_framework(("pelix.ipopo.core", *REMOTE_BUNDLES), {api.AGENT: "bench", api.ADDRESS: ADDRESS})
    framework.start()
    instantiate_basic_topology_manager(framework.get_bundle_context())
    distribution = Distribution(framework, tls_contexts(tls) if tls else None)
    distribution.start()
    return framework, distribution


def provide(tls: Path | None) -> None:
    """The other process: export the service, say where, and serve until standard input ends."""
    framework, _ = framework_with_distribution(tls)
    context = framework.get_bundle_context()
    context.register_service(SPECIFICATION, Samples(), {api.EXPORTED_INTERFACES: "*"})
    exported = admin(framework).get_exported_services()
    description = exported[0].get_description()
    assert description is not None
    sys.stdout.buffer.write(encode_endpoint(description.get_properties()) + b"\n")
    sys.stdout.flush()
    sys.stdin.read()


def admin(framework: Framework) -> RemoteServiceAdmin:
    context = framework.get_bundle_context()
    reference = context.get_service_reference(RemoteServiceAdmin)
    assert reference is not None
    return context.get_service(reference)


@contextmanager
def remote_samples(tls: Path | None, keep: Sequence[int] = ()) -> Iterator[tuple[Any, int]]:
    """A proxy of the service in another process, and that process, which has the files `keep` open too."""
    command = [sys.executable, "-m", "bench.remote", "--provide", *(["--tls", str(tls)] if tls else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=keep) as provider:
        assert provider.stdin is not None
        assert provider.stdout is not None
        framework, distribution = framework_with_distribution(tls)
        try:
            endpoint = decode_endpoint(provider.stdout.readline())
            assert endpoint is not None
            reference = admin(framework).import_service(endpoint).get_reference()
            assert reference is not None
            yield framework.get_bundle_context().get_service(reference), provider.pid
        finally:
            provider.stdin.close()
            distribution.stop()
            framework.stop()
            framework.delete(True)


class Cpu:
    """Seconds of processor time that this process and another have used."""

    def __init__(self, other: int) -> None:
        self._other = Path(f"/proc/{other}/stat")

    def used(self) -> float:
        fields = self._other.read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured: calls a second, the median of one call in µs (of those that wait), CPU µs a call."""

    calls: float
    median_us: float | None
    cpu_us: float


def waiting(call: Callable[[], object], seconds: float, cpu: Cpu, threads: int = 1) -> Figure:
    """`threads` callers, each waiting for its answers."""
    durations: list[list[int]] = [[] for _ in range(threads)]
    end = time.monotonic() + seconds

    def work(mine: list[int]) -> None:
        while time.monotonic() < end:
            began = time.perf_counter_ns()
            call()
            mine.append(time.perf_counter_ns() - began)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in durations]
    began, cpu_before = time.monotonic(), cpu.used()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took, cpu_took = time.monotonic() - began, cpu.used() - cpu_before
    every = sorted(each for mine in durations for each in mine)
    return Figure(
        calls=len(every) / took, median_us=every[len(every) // 2] / 1000, cpu_us=cpu_took / len(every) * 1_000_000
    )


def in_flight(call: Callable[[], Future[Any]], seconds: float, cpu: Cpu, most: int) -> Figure:
    """One caller with `most` futures in flight."""
    count, pending = 0, deque[Future[Any]]()
    began, cpu_before = time.monotonic(), cpu.used()
    while time.monotonic() - began < seconds:
        pending.append(call())
        count += 1
        if len(pending) >= most:
            pending.popleft().result()
    for future in pending:
        future.result()
    took, cpu_took = time.monotonic() - began, cpu.used() - cpu_before
    return Figure(calls=count / took, median_us=None, cpu_us=cpu_took / count * 1_000_000)


def unanswered(call: Callable[[], object], last: Callable[[], object], seconds: float, cpu: Cpu) -> Figure:
    """One-way calls, and at the end one that is answered after them."""
    count = 0
    began, cpu_before = time.monotonic(), cpu.used()
    while time.monotonic() - began < seconds:
        call()
        count += 1
    last()
    took, cpu_took = time.monotonic() - began, cpu.used() - cpu_before
    return Figure(calls=count / took, median_us=None, cpu_us=cpu_took / count * 1_000_000)


def measure(seconds: float, tls: Path | None) -> list[tuple[str, ...]]:
    name = "mutual TLS" if tls else "TCP"
    sample = Sample(1_795_380_047_426, 0.5, 0.25, "celix@1", 7)
    batch = [sample] * BATCH
    with remote_samples(tls) as (service, provider):
        cpu, later, sent = Cpu(provider), asynchronous(service), one_way(service)
        for _ in range(500):  # warm up
            service.put(sample)
        return [
            row(name, "one sample a call, one after another", waiting(lambda: service.put(sample), seconds, cpu)),
            row(name, "one sample a call, 4 threads", waiting(lambda: service.put(sample), seconds, cpu, 4)),
            row(name, "one sample a call, 32 threads", waiting(lambda: service.put(sample), seconds, cpu, 32)),
            row(name, "one sample a call, 200 in flight", in_flight(lambda: later.put(sample), seconds, cpu, 200)),
            row(
                name,
                "one sample a call, one way",
                unanswered(lambda: sent.put(sample), lambda: service.put(sample), seconds, cpu),
            ),
            row(
                name,
                f"{BATCH} samples a call, one after another",
                waiting(lambda: service.put_all(batch), seconds, cpu),
                BATCH,
            ),
            row(
                name,
                f"{BATCH} samples a call, 4 in flight",
                in_flight(lambda: later.put_all(batch), seconds, cpu, 4),
                BATCH,
            ),
        ]


def row(connection: str, what: str, figure: Figure, samples: int = 1) -> tuple[str, ...]:
    median = "" if figure.median_us is None else f"{figure.median_us:.0f}"
    rates = (f"{figure.calls:,.0f}", f"{figure.calls * samples:,.0f}")
    return (connection, what, *rates, median, f"{figure.cpu_us:.0f}")


def certificates(directory: Path) -> Path:
    from tests.support.etcd import make_certificates

    make_certificates(directory, (ADDRESS,))
    for name, source in (("cert.pem", "server.pem"), ("key.pem", "server.key")):
        (directory / name).write_bytes((directory / source).read_bytes())
    return directory


def main() -> int:
    """Measure and print; returns 1 when something became worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--provide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tls", type=Path, help=argparse.SUPPRESS)
    baselines.add_save(parser)
    given = parser.parse_args()
    if given.provide:
        provide(given.tls)
        return 0
    with tempfile.TemporaryDirectory() as directory:
        rows = measure(given.seconds, None) + measure(given.seconds, certificates(Path(directory)))
    print(table(("connection", "what", "calls/s", "samples/s", "median µs", "CPU µs"), rows), end="\n\n")
    return baselines.finish("remote", compared(rows), keep=given.save)


def compared(rows: Sequence[tuple[str, ...]]) -> list[baselines.Figure]:
    """What a call costs, of each row: how many there are in a second says more about who else runs."""
    return [
        baselines.Figure(what=f"{connection}: {what}", samples=[float(cpu)], measure="CPU µs a call")
        for connection, what, *_, cpu in rows
    ]


if __name__ == "__main__":
    sys.exit(main())
