"""Node agents and provisioning servers as processes, with their logs, for component tests."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from inaetics.bundles.archive import open_archive
from inaetics.bundles.records import CURRENT, Artifact, Held, Version, artifact_key
from inaetics.bundles.repository import Repository
from inaetics.bundles.resolve import resolve
from inaetics.bundles.signature import Signature
from inaetics.errors import InvalidInput
from tests.support.blobs import BlobServer
from tests.support.etcd import EtcdCluster
from tests.support.eventually import eventually

PAGE_PORT, SHELL_PORT = 8080, 2019


class Program:
    """A program at an address. Ends with the test; `log` has what it said, one JSON object a line."""

    def __init__(
        self, command: Sequence[str], name: str, address: str, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.name, self.address = name, address
        self._command = tuple(command)
        self._log = directory / f"{name}.log"
        self._environment = {
            **os.environ,
            "INAETICS_AGENT": name,
            "INAETICS_ADDRESS": address,
            "INAETICS_HOST": f"host-of-{name}",
            "INAETICS_DATA": str(directory / "data"),
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process is None, f"{self.name} runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def stop(self) -> tuple[int, float]:
        """SIGTERM; returns the exit status and how long it took. Status 0: what it had to do ended in its own time."""
        began = time.monotonic()
        return self._end(signal.SIGTERM), time.monotonic() - began

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def wait(self) -> int:
        """Until it ends by itself; returns the exit status."""
        assert self._process is not None
        status = self._process.wait(timeout=60)
        self._process = None
        return status

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Log entries with this text and these fields, so far. A line that is being written is no entry yet."""
        found = []
        whole, _, _ = self._log.read_text().rpartition("\n")
        for line in whole.splitlines():
            entry = json.loads(line) if line.startswith("{") else {"event": line}
            if entry["event"] == event and all(entry.get(key) == value for key, value in fields.items()):
                found.append(entry)
        return found

    def get(self, path: str, *, timeout_s: float = 10) -> tuple[int, bytes]:
        """One request to its pages."""
        connection = http.client.HTTPConnection(self.address, PAGE_PORT, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body!r}"
        return json.loads(body)

    def close(self) -> None:
        """End it whatever it does. Idempotent."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait()


class Site:
    """Programs around one etcd, on addresses of its subnet from .101 on."""

    def __init__(self, etcd: EtcdCluster, directory: Path) -> None:
        self.etcd = etcd
        self.bundles = directory / "archives"
        self.bundles.mkdir(exist_ok=True)
        self._directory = directory
        self._programs: list[Program] = []
        self._environment = {"INAETICS_ETCD_ENDPOINTS": ",".join(etcd.endpoints), "INAETICS_TLS_DIR": ""}
        context = None
        if etcd.tls is not None:
            self._environment["INAETICS_TLS_DIR"] = str(self._certificates())
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(etcd.directory / "server.pem", etcd.directory / "server.key")
        self.registry = BlobServer(self.bundles, etcd.addresses[0], context)
        self.version = 0

    def provisioning(self, *, number: int = 0, **environment: str) -> Program:
        environment = {"INAETICS_REGISTRY": self.registry.address, **environment}
        return self.run(_python("inaetics.provisioning"), f"provisioning-{number}", **environment)

    def agent(self, name: str, **environment: str) -> Program:
        return self.run(_python("inaetics.node"), name, **environment)

    @property
    def environment(self) -> Mapping[str, str]:
        """What every program here is told."""
        return self._environment

    def agents_urls(self) -> list[str]:
        """Where agents may ask."""
        return [json.loads(value)["agents_url"] for value in self.values("/inaetics/node-provisioning-service/")]

    def agents_url(self) -> str:
        """Where agents ask: the port of one server; empty without any."""
        return next(iter(self.agents_urls()), "")

    def publish(self, sign: Callable[[str], Signature | None] = lambda sha256: None) -> list[Artifact]:
        """Make every whole archive known, as the API does; returns them."""
        published = []
        for path in sorted(self.bundles.glob("*.zip")):
            try:
                archive = open_archive(path)
            except InvalidInput:
                continue
            manifest = archive.manifest
            artifact = Artifact.of(manifest, sha256=archive.sha256, size=archive.size)
            artifact = msgspec.structs.replace(artifact, signature=sign(archive.sha256))
            self.put(artifact_key(manifest.name, manifest.version), msgspec.json.encode(artifact))
            published.append(artifact)
        return published

    def set_mapping(self, text: str, **held: Held) -> None:
        """Publish what is in `bundles`, and put a mapping in force as its next version.

        One that is wrong is put in force as no API would: a server has to refuse it.
        """
        repository = Repository.of(self.publish())
        self.version += 1
        version = Version(version=self.version, text=text, by="tester", at=time.time(), held=held)
        with suppress(InvalidInput):
            version = resolve(version, repository)
        self.put(CURRENT, msgspec.json.encode(version))

    def put(self, key: str, value: bytes) -> None:
        self.etcd.post(
            "/v3/kv/put", {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()}
        )

    def values(self, prefix: str) -> list[str]:
        """What stands in etcd below `prefix`, in key order."""
        ends = (prefix.encode(), prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1]))
        key, end = (base64.b64encode(part).decode() for part in ends)
        found = self.etcd.post("/v3/kv/range", {"key": key, "range_end": end}).get("kvs", [])
        return [base64.b64decode(item["value"]).decode() for item in found]

    def map_all(self, **install: list[str]) -> None:
        """One rule a target: ``map_all(a=["x"])``."""
        rules = [f'[[rules]]\ntarget = "{target}"\ninstall = {json.dumps(names)}' for target, names in install.items()]
        self.set_mapping("\n".join(rules))

    def close(self) -> None:
        for program in self._programs:
            program.close()
        self.registry.stop()

    def run(self, command: Sequence[str], name: str, **environment: str) -> Program:
        """Start any program at the next address."""
        subnet = self.etcd.addresses[0].rsplit(".", 1)[0]
        at = self.etcd.spare if self.etcd.tls else [f"{subnet}.{101 + i}" for i in range(20)]
        program = Program(command, name, at[len(self._programs)], self._directory, {**self._environment, **environment})
        self._programs.append(program)
        program.start()
        return program

    def _certificates(self) -> Path:
        directory = self._directory / "tls"
        directory.mkdir()
        for name, source in (("ca.pem", "ca.pem"), ("cert.pem", "server.pem"), ("key.pem", "server.key")):
            shutil.copy(self.etcd.directory / source, directory / name)
        return directory


def _python(module: str) -> list[str]:
    """Such a process. Who gives up what hangs at the end waits long: a busy machine is slow, and nobody hangs."""
    patient = "from inaetics.provisioning import framework; framework.STOP_WITHIN_S = 60.0"
    return [sys.executable, "-c", f"{patient}; import runpy; runpy.run_module({module!r}, run_name='__main__')"]


def deployed(agent: Program, *bundles: str, within_s: float = 60) -> None:
    """Wait until the agent has switched to exactly these bundles (``name-version``)."""

    def running() -> set[str]:
        found: set[str] = set()
        for entry in agent.said("deployed"):
            found = found - set(entry["stopped"]) | set(entry["started"])
        return found

    eventually(lambda: running() == set(bundles), within_s=within_s, what=f"{agent.name} runs {bundles}")
