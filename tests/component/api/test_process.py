"""`python -m inaetics.api` as its host starts it, over a real etcd with mutual TLS: ready, stopped, killed, refused."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inaetics.api.client import FleetClient
from inaetics.api.endpoint import ClientTls
from inaetics.fleet import keys
from tests.support.etcd import EtcdCluster, etcd_server
from tests.support.eventually import eventually

TEXT = "[Service]\nExecStart=/bin/true\n"


@dataclass(slots=True, kw_only=True)
class Host:
    """Where an API process runs: the etcd's address serves for the API too, on its own port."""

    directory: Path
    etcd: EtcdCluster
    notified: socket.socket

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "INAETICS_ADDRESS": self.etcd.addresses[0],
            "INAETICS_RUN": str(self.directory),
            "INAETICS_PKI": str(self.directory),
            "INAETICS_ETCD_ENDPOINTS": ",".join(self.etcd.endpoints),
            "INAETICS_HOST": "worker-1",
            "NOTIFY_SOCKET": str(self.directory / "notify"),
        }

    @property
    def socket(self) -> Path:
        return self.directory / "fleet.sock"

    def client(self) -> FleetClient:
        return FleetClient(f"unix://{self.socket}")

    def secure_client(self) -> FleetClient:
        assert self.etcd.tls is not None
        tls = ClientTls(ca=self.etcd.tls.ca, cert=self.etcd.tls.cert, key=self.etcd.tls.key)
        return FleetClient(f"https://{self.etcd.addresses[0]}", tls)

    @contextmanager
    def api(self, *, ready: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """Run an API process for the block."""
        command = [sys.executable, "-P", "-m", "inaetics.api"]
        process = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE)
        try:
            if ready:
                assert self.notified.recv(64) == b"READY=1"
            yield process
        finally:
            process.kill()
            process.communicate(timeout=30)


@pytest.fixture
def host() -> Iterator[Host]:
    with (
        etcd_server(tls=True) as etcd,
        tempfile.TemporaryDirectory(prefix="inaetics-api-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified,
    ):
        for name, source in {"ca.pem": "ca.pem", "api.pem": "server.pem", "api.key": "server.key"}.items():
            (Path(directory) / name).write_bytes((etcd.directory / source).read_bytes())
        notified.bind(f"{directory}/notify")
        notified.settimeout(60)
        yield Host(directory=Path(directory), etcd=etcd, notified=notified)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Ask it to stop; its status, and what it said."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    return process.returncode, said.decode()


def test_it_is_ready_when_both_listeners_answer(host: Host) -> None:
    with host.api():
        with host.client() as client:
            eventually(lambda: client.health().leader == "worker-1", within_s=20, what="it leads the engine")
            client.submit("hello.service", TEXT, desired="launched")
        with host.secure_client() as client:
            assert client.unit("hello.service").unit.reason == "there is no machine"


def test_told_to_stop_it_lays_its_office_down_before_it_goes(host: Host) -> None:
    with host.api() as process, host.client() as client, host.client() as idle:
        idle.machines()
        eventually(lambda: client.health().leader == "worker-1", within_s=20, what="it leads the engine")
        assert candidates(host) == 1
        status, said = end(process)
    assert status == 0, said
    assert candidates(host) == 0, "its lease was not revoked"
    assert not host.socket.exists()


def candidates(host: Host) -> int:
    """How many keys lie under the engine's office."""
    first, behind = (base64.b64encode(key.encode()).decode() for key in (keys.ELECTION, keys.ELECTION + "\x7f"))
    return int(host.etcd.post("/v3/kv/range", {"key": first, "range_end": behind}).get("count", 0))


def test_a_killed_one_is_replaced_and_loses_nothing(host: Host) -> None:
    with host.api() as process, host.client() as client:
        client.submit("hello.service", TEXT)
        process.kill()
        process.wait(timeout=10)
    with host.api(), host.client() as client:
        assert client.unit("hello.service").text == TEXT


def test_a_second_one_is_refused_and_says_why(host: Host) -> None:
    with host.api(), host.api(ready=False) as second:
        _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "another fleet API serves there already" in said.decode()
        with host.client() as client:
            assert client.health().store == "ok"


def test_a_taken_port_is_named(host: Host) -> None:
    with socket.create_server((host.etcd.addresses[0], 49153)), host.api(ready=False) as process:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"cannot listen on {host.etcd.addresses[0]}:49153" in said.decode()


def test_without_etcd_it_serves_what_it_can_and_recovers(host: Host) -> None:
    host.etcd.kill()
    with host.api(), host.client() as client:
        eventually(lambda: client.health().store == "silent", within_s=20, what="the silence is noticed")
        host.etcd.start()
        eventually(lambda: client.health().leader == "worker-1", within_s=20, what="it leads the engine")
        client.submit("hello.service", TEXT)


@pytest.mark.parametrize("missing", ["INAETICS_ADDRESS", "INAETICS_ETCD_ENDPOINTS"])
def test_a_missing_variable_is_named(missing: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("INAETICS_")}
    environment |= {name: "x" for name in ("INAETICS_RUN", "INAETICS_PKI", "INAETICS_HOST", "INAETICS_ADDRESS")}
    environment |= {"INAETICS_ETCD_ENDPOINTS": "https://x"}
    del environment[missing]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "inaetics.api"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"{missing} not set" in done.stderr
    assert "Traceback" not in done.stderr
