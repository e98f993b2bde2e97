"""A real image registry for tests: docker-registry with mutual TLS on a loopback address of its own.

    with registry_server() as registry:
        registry.address, registry.certificates     # "127.90.3.10:5000", a directory in podman's form
        registry.kill(); registry.start()

Promises: it answers when it is handed out, and is gone, with its data, afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inaetics.containers.registry import Registry
from inaetics.errors import Unavailable
from tests.support.etcd import free_subnet, make_certificates
from tests.support.eventually import eventually

PORT = 5000


class RegistryServer:
    """Use `registry_server`, which starts it and cleans up."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        host = f"{free_subnet()}.10"
        self.address = f"{host}:{PORT}"
        self.certificates = directory / "client"
        self._process: subprocess.Popen[bytes] | None = None
        self._config = directory / "registry.yml"
        self._prepare(host)

    def start(self) -> None:
        """Start it (again), and return when it answers."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), "serve", str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._answers, within_s=20, what=f"the registry at {self.address} answers")

    def kill(self) -> None:
        """End it as a power cut does. What it holds stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)
            self._process = None

    def pause(self) -> None:
        """Freeze it: connections are accepted, and nobody answers on them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Registry:
        """A client with the right certificates."""
        return Registry(self.address, self.certificates)

    def _answers(self) -> bool:
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            raise RuntimeError(f"the registry ended with {status}:\n{(self.directory / 'log').read_text()[-2000:]}")
        try:
            with self.client() as client:
                client.ping()
        except Unavailable:
            return False
        return True

    def _prepare(self, host: str) -> None:
        tls = make_certificates(self.directory, [host])
        self.certificates.mkdir()
        shutil.copyfile(self.directory / "ca.pem", self.certificates / "ca.crt")
        shutil.copyfile(tls.cert, self.certificates / "client.cert")
        shutil.copyfile(tls.key, self.certificates / "client.key")
        server = {"certificate": f"{self.directory}/server.pem", "key": f"{self.directory}/server.key"}
        settings = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": f"{self.directory}/data"}, "delete": {"enabled": True}},
            "http": {"addr": self.address, "tls": {**server, "clientcas": [f"{self.directory}/ca.pem"]}},
        }
        self._config.write_text(json.dumps(settings))


@contextmanager
def registry_server() -> Iterator[RegistryServer]:
    """Run a registry with mutual TLS."""
    directory = Path(tempfile.mkdtemp(prefix="inaetics-registry-"))
    server = RegistryServer(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)


def _binary() -> str:
    found = shutil.which("docker-registry", path=f"{os.environ.get('PATH', '')}:/usr/bin")
    assert found, "this test needs a registry, and it is not installed: apt-get install docker-registry"
    return found
