"""A bundle is updated on a live agent while another agent calls it: `.venv/bin/python -m bench.bundle_update`.

Two node agents (processes, as their images run them), an etcd and a server that hands out deployments. One thread calls
as fast as it can, one every few milliseconds; both calls end quickly, so what a caller waits between two answers is the
interruption. The same time without updates, measured in between, shows what the machine itself does to the figure.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from tests.support.agents import Program
from tests.support.bundles import packed
from tests.support.etcd import EtcdCluster, etcd_server
from tests.support.eventually import eventually
from tests.support.fake_provisioning import FakeProvisioning

from bench.machine import describe, table
from inaetics.bundles.archive import Archive, open_archive
from inaetics.bundles.exchange import SERVERS, Registration

PROVIDER = """
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides

    @ComponentFactory(f"{__name__}.echo")
    @Provides("echo")
    @Property("_exported", "service.exported.interfaces", "*")
    @Instantiate(f"{__name__}.echo")
    class Echo:
        def echo(self, number):
            return [number, %r]
"""
CALLER = """
    import json, threading, time
    from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Requires, Validate

    @ComponentFactory(f"{__name__}.caller")
    @Provides(HTTP_SERVLET)
    @Property("_path", HTTP_SERVLET_PATH, "/calls")
    @Requires("_echo", "echo", immediate_rebind=True)
    @Instantiate(f"{__name__}.caller")
    class Caller:
        @Validate
        def validate(self, context):
            self._stop = threading.Event()
            self.sent = self.answered = 0
            self.version, self.failed, self.longest = "", [], 0.0
            for pause in (0, 0.002):
                threading.Thread(target=self._call, args=(pause,), daemon=True).start()

        @Invalidate
        def invalidate(self, context):
            self._stop.set()

        def _call(self, pause):
            number, last = 0, time.perf_counter()
            while not self._stop.is_set():
                number += 1
                self.sent += 1
                try:
                    answer, self.version = self._echo.echo(number)
                    self.answered += answer == number
                except Exception as error:
                    self.failed.append(repr(error))
                now = time.perf_counter()
                self.longest = max(self.longest, now - last - pause)
                last = now
                if pause:
                    time.sleep(pause)
                    last += time.perf_counter() - now - pause  # what sleeping took longer is not the service's

        def do_GET(self, request, response):
            seen = {"sent": self.sent, "answered": self.answered, "failed": len(self.failed), "version": self.version,
                    "longest_ms": self.longest * 1000, "error": self.failed[:1]}
            self.longest = 0.0
            response.send_content(200, json.dumps(seen), "application/json")
"""


def agent(name: str, address: str, etcd: EtcdCluster, directory: Path) -> Program:
    environment = {"INAETICS_ETCD_ENDPOINTS": ",".join(etcd.endpoints), "INAETICS_TLS_DIR": ""}
    program = Program("inaetics.node", name, address, directory, environment)
    program.start()
    return program


def announce(etcd: EtcdCluster, server: FakeProvisioning) -> None:
    value = msgspec.json.encode(Registration(url=server.url))
    key, text = (base64.b64encode(part).decode() for part in (f"{SERVERS}bench".encode(), value))
    etcd.post("/v3/kv/put", {"key": key, "value": text})


def settled(caller: Program, version: str) -> dict[str, Any]:
    """What the caller saw since it was asked last, once it is answered by `version`."""
    longest = 0.0

    def look() -> dict[str, Any] | None:
        nonlocal longest
        seen: dict[str, Any] = caller.json("/calls")
        longest = max(longest, float(seen["longest_ms"]))
        return seen if seen["version"] == version else None

    found = eventually(look, within_s=30, what=f"calls are answered by {version}")
    assert found is not None
    return found | {"longest_ms": longest}


def measure(updates: int, directory: Path) -> list[tuple[str, ...]]:
    def provider(number: int) -> Archive:
        version = f"1.{number}.0"
        return open_archive(packed(directory, "echo", version, init=PROVIDER % version))

    with etcd_server() as etcd:
        server = FakeProvisioning()
        announce(etcd, server)
        subnet = etcd.addresses[0].rsplit(".", 1)[0]
        agents = [agent(name, f"{subnet}.{101 + i}", etcd, directory) for i, name in enumerate(("p", "c"))]
        caller = agents[1]
        try:
            server.deploy("p", [provider(0)])
            server.deploy("c", [open_archive(packed(directory, "caller", init=CALLER))])
            eventually(lambda: caller.get("/calls")[0] == 200, within_s=30, what="the caller calls")
            settled(caller, "1.0.0")
            quiet, busy, took = [], [], []
            for number in range(1, updates + 1):
                quiet.append(_undisturbed(caller, 0.3))
                began, before = time.monotonic(), len(server.reports)
                server.deploy("p", [provider(number)])
                eventually(lambda before=before: len(server.reports) > before, within_s=30, what="it is installed")  # type: ignore[misc]
                took.append(time.monotonic() - began)
                busy.append(settled(caller, f"1.{number}.0")["longest_ms"])
            last = caller.json("/calls")
        finally:
            for each in agents:
                each.close()
            server.close()
    lost = last["sent"] - last["answered"] - last["failed"]
    calls = f"{last['answered']:,}"
    return [
        ("undisturbed", calls, "-", "-", f"{statistics.median(quiet):.1f}", f"{max(quiet):.1f}", "-"),
        (
            f"{updates} updates",
            calls,
            str(last["failed"]),
            f"{max(lost - 2, 0)}",
            f"{statistics.median(busy):.1f}",
            f"{max(busy):.1f}",
            f"{statistics.median(took) * 1000:.0f}",
        ),
    ]


def _undisturbed(caller: Program, seconds: float) -> float:
    caller.json("/calls")
    time.sleep(seconds)
    return float(caller.json("/calls")["longest_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20)
    given = parser.parse_args()
    print(describe(), end="\n\n")
    with tempfile.TemporaryDirectory() as directory:
        rows = measure(given.updates, Path(directory))
    heads = ("calls", "answered", "failed", "lost", "longest wait ms, median", "at most", "deployed after ms")
    print(table(heads, rows))


if __name__ == "__main__":
    main()
