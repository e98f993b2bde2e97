"""Remote calls between two agents' frameworks, through real proxies: `.venv/bin/python -m bench.remote [--seconds N]`.

Two processes on loopback, each a Pelix framework with our distribution; the endpoint travels over a pipe instead of
etcd. One sample a call shows what a call costs; a thousand samples a call show what moving data costs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pelix.framework import Framework, create_framework
from pelix.rsa import RemoteServiceAdmin
from pelix.rsa.topologymanagers.basic import instantiate_basic_topology_manager

from bench.machine import describe, table
from inaetics.demonstrator.api import Sample
from inaetics.node import api
from inaetics.node.agent import REMOTE_BUNDLES
from inaetics.node.remote.discovery import decode_endpoint, encode_endpoint
from inaetics.node.remote.distribution import Distribution
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


def framework_with_distribution(tls: Path | None) -> tuple[Framework, Distribution]:
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
def remote_samples(tls: Path | None) -> Iterator[Any]:
    """A proxy of the service in another process."""
    command = [sys.executable, "-m", "bench.remote", "--provide", *(["--tls", str(tls)] if tls else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as provider:
        assert provider.stdin is not None
        assert provider.stdout is not None
        framework, distribution = framework_with_distribution(tls)
        try:
            endpoint = decode_endpoint(provider.stdout.readline())
            assert endpoint is not None
            reference = admin(framework).import_service(endpoint).get_reference()
            assert reference is not None
            yield framework.get_bundle_context().get_service(reference)
        finally:
            provider.stdin.close()
            distribution.stop()
            framework.stop()
            framework.delete(True)


def per_second(call: Callable[[], object], seconds: float, threads: int = 1) -> tuple[float, float]:
    """Calls a second by `threads` threads, and the median of one call in µs."""
    durations: list[list[int]] = [[] for _ in range(threads)]
    end = time.monotonic() + seconds

    def work(mine: list[int]) -> None:
        while time.monotonic() < end:
            began = time.perf_counter_ns()
            call()
            mine.append(time.perf_counter_ns() - began)

    call()
    workers = [threading.Thread(target=work, args=(mine,)) for mine in durations]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.monotonic() - began
    every = sorted(each for mine in durations for each in mine)
    return len(every) / took, every[len(every) // 2] / 1000


def measure(seconds: float, tls: Path | None) -> list[tuple[str, ...]]:
    name = "mutual TLS" if tls else "TCP"
    sample = Sample(1_795_380_047_426, 0.5, 0.25, "celix@1", 7)
    batch = [sample] * BATCH
    with remote_samples(tls) as service:
        one, one_us = per_second(lambda: service.put(sample), seconds)
        four, four_us = per_second(lambda: service.put(sample), seconds, threads=4)
        many, many_us = per_second(lambda: service.put_all(batch), seconds)
    return [
        (name, "one sample a call", f"{one:,.0f}", f"{one:,.0f}", f"{one_us:.0f}"),
        (name, "one sample a call, 4 threads", f"{four:,.0f}", f"{four:,.0f}", f"{four_us:.0f}"),
        (name, f"{BATCH} samples a call", f"{many:,.0f}", f"{many * BATCH:,.0f}", f"{many_us:.0f}"),
    ]


def certificates(directory: Path) -> Path:
    from tests.support.etcd import make_certificates

    make_certificates(directory, (ADDRESS,))
    for name, source in (("cert.pem", "server.pem"), ("key.pem", "server.key")):
        (directory / name).write_bytes((directory / source).read_bytes())
    return directory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--provide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tls", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.provide:
        provide(given.tls)
        return
    print(describe(), end="\n\n")
    with tempfile.TemporaryDirectory() as directory:
        rows = measure(given.seconds, None) + measure(given.seconds, certificates(Path(directory)))
    print(table(("connection", "what", "calls/s", "samples/s", "median µs"), rows))


if __name__ == "__main__":
    main()
