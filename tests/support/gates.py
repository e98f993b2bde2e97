"""Real image registries with their gates, as the control hosts of a cluster have them, each a pair of processes.

    with gates(3) as cluster:
        first = cluster[0]
        first.push("inaetics/hello", "latest", b"content")     # with the operator's certificate
        first.kill(); first.wipe(); first.start()

Promises: each answers when it is handed out; nothing of them stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from inaetics.containers.replicate_http import Peer
from inaetics.errors import InaeticsError, NotFound
from inaetics.files import replace_file
from inaetics.hosts import pki
from inaetics.hosts.cluster import Cluster, Host
from inaetics.hosts.paths import ClusterPaths
from inaetics.hosts.services import registry_config
from tests.support.etcd import free_subnet
from tests.support.eventually import eventually

OCI = "application/vnd.oci.image.manifest.v1+json"


class GatedRegistry:
    """One host's registry and gate. Use `gates`, which starts them and cleans up."""

    def __init__(self, host: Host, cluster: Cluster, paths: ClusterPaths) -> None:
        self.name, self.address = host.name, host.registry
        self._cluster, self._paths, self._host = cluster, paths.host(host.name), host
        self.operator = paths.state / "operator"
        self.reader = self._paths.pki / "registry-client"
        self.pki = self._paths.pki
        self.data = self._paths.registry
        self._registry: subprocess.Popen[bytes] | None = None
        self.gate: subprocess.Popen[bytes] | None = None
        for place in (self._paths.run, self._paths.state):
            place.mkdir(parents=True, exist_ok=True)
        config = registry_config(socket=self._paths.registry_socket, data=self.data, secret="s" * 32)
        replace_file(self._paths.state / "registry.yml", config)

    def start(self, *, gate: Sequence[str] = ("-m", "inaetics.containers.gate_main")) -> None:
        """Start both (again) and return when the gate answers."""
        self.start_registry()
        environment = {
            **os.environ,
            "INAETICS_HOST": self.name,
            "INAETICS_ADDRESS": self._host.address,
            "INAETICS_REGISTRIES": ",".join(self._cluster.registries_for(self._host)),
            "INAETICS_PUSHERS": ",".join(pki.pushers(self._cluster)),
            "INAETICS_STATE": str(self._paths.state),
            "INAETICS_RUN": str(self._paths.run),
            "INAETICS_PKI": str(self._paths.pki),
        }
        with (self._paths.state / "gate.log").open("ab") as log:
            self.gate = subprocess.Popen(
                [sys.executable, "-P", *gate], env=environment, stdin=subprocess.DEVNULL, stderr=log
            )
        eventually(self._answers, within_s=30, what=f"the gate of {self.name} answers")

    def start_registry(self) -> None:
        """Start docker-registry alone."""
        program = shutil.which("docker-registry", path=f"{os.environ.get('PATH', '')}:/usr/bin")
        assert program, "this test needs a registry, and it is not installed: apt-get install docker-registry"
        with (self._paths.state / "registry.log").open("ab") as log:
            command = [program, "serve", str(self._paths.state / "registry.yml")]
            self._registry = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._paths.registry_socket.exists, within_s=20, what=f"the registry of {self.name} listens")

    @property
    def registry_pid(self) -> int:
        """The process of docker-registry, which must run."""
        assert self._registry is not None
        return self._registry.pid

    @property
    def socket(self) -> Path:
        """Where docker-registry listens."""
        return self._paths.registry_socket

    def kill(self) -> None:
        """End both as a power cut does; what they hold stays."""
        for process in (self.gate, self._registry):
            if process is not None:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=10)
        self.gate = self._registry = None
        self._paths.registry_socket.unlink(missing_ok=True)

    def wipe(self) -> None:
        """Lose the disk: everything the registry held, and what the gate wrote down."""
        shutil.rmtree(self.data, ignore_errors=True)

    def log(self) -> list[dict[str, Any]]:
        """What the gate logged."""
        lines = (self._paths.state / "gate.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def client(self, certificates: Path | None = None) -> Peer:
        """A client with the operator's certificate, or with those given."""
        return Peer(self.address, certificates or self.operator)

    def upload(self, repository: str, content: bytes, *, certificates: Path | None = None) -> str:
        """Add a blob; returns its digest."""
        digest = digest_of(content)
        client = self.client(certificates)
        with client.asked("POST", f"/v2/{repository}/blobs/uploads/") as answer:
            location = answer.getheader("Location", "")
        place = "/v2/" + location.partition("/v2/")[2]
        with client.asked("PUT", f"{place}&digest={digest}", body=content):
            return digest

    def push(self, repository: str, reference: str, content: bytes, *, certificates: Path | None = None) -> str:
        """Push an image of one layer with this content; returns its digest."""
        layer = self.upload(repository, content, certificates=certificates)
        config = self.upload(repository, b"{}", certificates=certificates)
        text = manifest(config=(config, 2), layer=(layer, len(content)))
        return self.put(repository, reference, text, certificates=certificates)

    def put(self, repository: str, reference: str, text: bytes, *, certificates: Path | None = None) -> str:
        """Give a manifest a tag (or its digest) as its name."""
        path = f"/v2/{repository}/manifests/{reference}"
        with self.client(certificates).asked("PUT", path, headers={"Content-Type": OCI}, body=text):
            return digest_of(text)

    def meaning(self, repository: str, reference: str) -> str:
        """The digest a reference means here, or nothing."""
        try:
            return digest_of(self.client(self.reader).manifest(repository, reference)[0])
        except NotFound:
            return ""

    def content(self, repository: str, reference: str) -> bytes:
        """The content of the one layer of an image."""
        client = self.client(self.reader)
        text, _ = client.manifest(repository, reference)
        layer = json.loads(text)["layers"][0]["digest"]
        with client.asked("GET", f"/v2/{repository}/blobs/{layer}") as answer:
            return answer.read()

    def state(self) -> dict[str, Any]:
        """What the gate says of itself."""
        found = self.client(self.reader).json("/inaetics/state")
        assert isinstance(found, dict)
        return found

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob."""
        name = digest.removeprefix("sha256:")
        return self.data / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def _answers(self) -> bool:
        assert self.gate is not None
        if self.gate.poll() is not None:
            raise RuntimeError(f"the gate ended:\n{(self._paths.state / 'gate.log').read_text()[-2000:]}")
        try:
            self.state()
        except InaeticsError:
            return False
        return True


@contextmanager
def gates(count: int, *, start: bool = True) -> Iterator[list[GatedRegistry]]:
    """Registries of a cluster without a bootstrap host: all equal, on a subnet of their own."""
    directory = Path(tempfile.mkdtemp(prefix="inaetics-gates-"))
    names = tuple(f"worker-{number}" for number in range(1, count + 1))
    cluster = Cluster(
        name="gates", subnet=free_subnet(), workers=count, control=names, created=0.0, id="g", bootstrap=False
    )
    paths = ClusterPaths(name="gates", state=directory / "state", run=directory / "run")
    authorities = pki.ensure_authorities(paths, "gates")
    for host in cluster.hosts:
        pki.ensure_host(paths.host(host.name), host, authorities)
    _operator(paths)
    made = [GatedRegistry(host, cluster, paths) for host in cluster.hosts]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        for each in made:
            stack.callback(each.kill)
        for each in made if start else ():
            each.start()
        yield made


def manifest(*, config: tuple[str, int], layer: tuple[str, int]) -> bytes:
    """A manifest of an image with one layer."""
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    parts = [
        {"mediaType": kind, "digest": digest, "size": size}
        for kind, (digest, size) in zip(kinds, (config, layer), strict=True)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": parts[0], "layers": parts[1:]}).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _operator(paths: ClusterPaths) -> None:
    """The operator's certificate in the form of an engine's directory."""
    place = paths.state / "operator"
    place.mkdir()
    for source, name in (("ca.pem", "ca.crt"), ("operator.pem", "client.cert"), ("operator.key", "client.key")):
        shutil.copyfile(paths.pki / source, place / name)
