"""Real etcd members for tests: on a loopback subnet of their own, with or without mutual TLS, to kill and to restart.

    with etcd_server() as etcd:                       # one member, plaintext
        async with etcd.connect() as store: …
    with etcd_cluster(size=3, tls=True) as etcd:
        etcd.kill(0); etcd.start(0); etcd.compact()

Promises: all members are healthy when it returns, and none is left behind, not even when the test itself is killed.
Its methods block for up to some seconds: inside an event loop call them through `asyncio.to_thread`.
"""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from inaetics.store.etcd import Tls, connect
from inaetics.store.protocol import Store
from tests.support.eventually import eventually

CLIENT_PORT, PEER_PORT, HEALTH_PORT = 2379, 2380, 2381

_WATCHDOG = 'cat >/dev/null; for f in "$1"/*.pid; do [ -e "$f" ] && kill -9 "$(cat "$f")"; done; rm -rf "$1"'
"""Ends the members and removes the directory when its pipe closes, which even a killed test run does."""

_counter = itertools.count()


def free_subnet() -> str:
    """Return `127.x.y` where nobody listens on etcd's port; another one for every call and process."""
    for n in itertools.count(os.getpid() * 251 + next(_counter)):
        subnet = f"127.{64 + n // 254 % 128}.{1 + n % 254}"
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((f"{subnet}.10", CLIENT_PORT))
            return subnet
    raise AssertionError("unreachable")


class EtcdCluster:
    """Members numbered from 0. Use `etcd_server` or `etcd_cluster`, which start them and clean up."""

    def __init__(self, directory: Path, *, size: int, tls: bool, flags: Sequence[str] = ()) -> None:
        self.directory = directory
        subnet = free_subnet()
        self.addresses = tuple(f"{subnet}.{10 + i}" for i in range(size))
        self.spare = tuple(f"{subnet}.{101 + i}" for i in range(8))
        """Addresses of programs beside the members: the servers' certificate is for them, too."""
        self.tls = make_certificates(directory, [*self.addresses, *self.spare]) if tls else None
        self._scheme = "https" if tls else "http"
        self._flags = tuple(flags)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(f"{self._scheme}://{address}:{CLIENT_PORT}" for address in self.addresses)

    def connect(self, *, timeout_s: float = 5.0, silence_s: float = 10.0) -> AbstractAsyncContextManager[Store]:
        """Connect to all members."""
        return connect(self.endpoints, tls=self.tls, timeout_s=timeout_s, silence_s=silence_s)

    def start(self, *members: int, wait: bool = True) -> None:
        """Start these members (again), or all; by default return when they are healthy."""
        for member in members or range(len(self.addresses)):
            assert member not in self._processes, f"member {member} runs already"
            self._processes[member] = self._spawn(member)
        if wait:
            for member in members or range(len(self.addresses)):
                eventually(partial(self._healthy, member), within_s=20, what=f"etcd member {member} is healthy")

    def kill(self, *members: int) -> None:
        """Kill these members, or all that run, as a power cut does."""
        self._end(members, signal.SIGKILL)

    def stop(self, *members: int) -> None:
        """Stop these members, or all that run, in order."""
        self._end(members, signal.SIGTERM)

    def pause(self, member: int) -> None:
        """Freeze a member: its connections stay, and nobody answers on them."""
        process = self._processes[member]
        process.send_signal(signal.SIGSTOP)
        eventually(partial(_is_stopped, process.pid), within_s=10, what=f"etcd member {member} is frozen")

    def resume(self, member: int) -> None:
        self._processes[member].send_signal(signal.SIGCONT)

    def leader(self) -> int:
        """Return the member that leads etcd."""
        for member in self._processes:
            status = self.post("/v3/maintenance/status", {}, member=member)
            if status.get("leader") == status["header"]["member_id"]:
                return member
        raise AssertionError("no running member of etcd leads")

    def compact(self, revision: int | None = None) -> None:
        """Drop the history before `revision`, or all that there is."""
        if revision is None:
            missing = {"key": base64.b64encode(b"\0").decode(), "count_only": True}
            revision = int(self.post("/v3/kv/range", missing)["header"]["revision"])
        self.post("/v3/kv/compaction", {"revision": revision, "physical": True})

    def post(self, path: str, body: dict[str, Any], *, member: int | None = None) -> Any:
        """Speak to a member's JSON gateway, beside the code under test."""
        host = self.addresses[next(iter(self._processes)) if member is None else member]
        connection: http.client.HTTPConnection
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls.ca)
            context.load_cert_chain(self.tls.cert, self.tls.key)
            connection = http.client.HTTPSConnection(host, CLIENT_PORT, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection(host, CLIENT_PORT, timeout=5)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, f"etcd answers {answer.status} to {path}: {content!r}"
        return json.loads(content)

    def _spawn(self, member: int) -> subprocess.Popen[bytes]:
        with self._log(member).open("ab") as log:
            process = subprocess.Popen(
                self._command(member), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid_file(member).write_text(str(process.pid))
        return process

    def _command(self, member: int) -> list[str]:
        address = self.addresses[member]
        peers = [f"m{i}={self._scheme}://{peer}:{PEER_PORT}" for i, peer in enumerate(self.addresses)]
        options = {
            "name": f"m{member}",
            "data-dir": f"{self.directory}/m{member}",
            "listen-client-urls": self.endpoints[member],
            "advertise-client-urls": self.endpoints[member],
            "listen-peer-urls": f"{self._scheme}://{address}:{PEER_PORT}",
            "initial-advertise-peer-urls": f"{self._scheme}://{address}:{PEER_PORT}",
            "initial-cluster": ",".join(peers),
            "grpc-keepalive-min-time": "1s",
            "listen-metrics-urls": f"http://{address}:{HEALTH_PORT}",
            "logger": "zap",
            "log-level": "warn",
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        if self.tls:
            server = f"{self.directory}/server"
            for role in ("", "peer-"):
                flags += [f"--{role}trusted-ca-file={self.tls.ca}", f"--{role}client-cert-auth"]
                flags += [f"--{role}cert-file={server}.pem", f"--{role}key-file={server}.key"]
        return [_binary(), *flags, *self._flags]

    def _healthy(self, member: int) -> bool:
        status = self._processes[member].poll()
        if status is not None:
            log = self._log(member).read_text()[-2000:]
            raise RuntimeError(f"etcd member {member} ended with status {status}:\n{log}")
        connection = http.client.HTTPConnection(self.addresses[member], HEALTH_PORT, timeout=2)
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        finally:
            connection.close()

    def _end(self, members: Sequence[int], number: signal.Signals) -> None:
        ending = {member: self._processes.pop(member) for member in (members or tuple(self._processes))}
        for process in ending.values():
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        for member, process in ending.items():
            process.wait(timeout=20)
            self._pid_file(member).unlink()

    def _log(self, member: int) -> Path:
        return self.directory / f"m{member}.log"

    def _pid_file(self, member: int) -> Path:
        return self.directory / f"m{member}.pid"


@contextmanager
def etcd_cluster(*, size: int = 3, tls: bool = False, flags: Sequence[str] = ()) -> Iterator[EtcdCluster]:
    """Run `size` members, with mutual TLS when asked (`cluster.tls` are a client's files)."""
    directory = Path(tempfile.mkdtemp(prefix="inaetics-etcd-"))
    cluster = EtcdCluster(directory, size=size, tls=tls, flags=flags)
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(directory)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
        watchdog.communicate(timeout=20)


@contextmanager
def etcd_server(*, tls: bool = False) -> Iterator[EtcdCluster]:
    """Run one member, with a short election so that leases of one second are granted."""
    with etcd_cluster(size=1, tls=tls, flags=("--heartbeat-interval=50", "--election-timeout=500")) as cluster:
        yield cluster


def _is_stopped(pid: int) -> bool:
    """Tell whether every thread is: the signal's sender does not wait for that."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def _binary() -> str:
    found = shutil.which("etcd", path=f"{os.environ.get('PATH', '')}:/usr/bin")
    assert found, "this test needs etcd, and it is not installed: apt-get install etcd-server"
    return found


def make_certificates(
    directory: Path, addresses: Sequence[str], *, server_name: str = "inaetics", others: Sequence[str] = ()
) -> Tls:
    """Make a CA, a server's certificate for `addresses` (`server.pem`, `.key`), and a client's; return the latter.

    `others` are names of further clients (`client-NAME.pem`).
    """
    authority = Authority(directory)
    authority.issue(directory / "server", [server_name, "localhost"], [*addresses, "127.0.0.1"])
    authority.issue(directory / "client", ["operator"], [])
    for name in others:
        authority.issue(directory / f"client-{name}", [name], [])
    return Tls(ca=directory / "ca.pem", cert=directory / "client.pem", key=directory / "client.key")


class Authority:
    """A certificate authority; writes its own certificate to `ca.pem`. `issue` makes others, with a common name."""

    def __init__(self, directory: Path, name: str = "test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _certificate(subject, subject, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        (directory / "ca.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(self, path: Path, names: Sequence[str], addresses: Sequence[str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = _certificate(_name(names[0]), self.certificate.subject, key)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        path.with_suffix(".pem").write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        path.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
