"""A network of its own for the hosts of a test: a namespace each, joined by a bridge that lies in another namespace.

Nothing of it is in the machine's own network, so its addresses are free whatever runs here, no firewall rule of the
machine applies to it, and all of it is gone with the names of its namespaces. Only `ip` and `nsenter` are needed.

Links fail silently, as cables and switches do: carrier stays, packets vanish.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from inaetics.ports import AGENT_PORT, API_PORT

SUBNET = "10.213.0"
_SWITCH_ADDRESS = f"{SUBNET}.1"
_NOWHERE = "02:00:00:00:00:99"
"""A hardware address nobody has: what is sent to it is lost, and the sender is not told."""

_NAMESPACES = Path("/run/netns")


class Network:
    """Namespaces `<prefix>-<host>`. Make it, `add` hosts, `remove` it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._addresses: dict[str, str] = {}
        self._cut: set[str] = set()
        self._dropped: set[tuple[str, str]] = set()

    @staticmethod
    def unavailable() -> str | None:
        """Why no network can be made here, or None."""
        if os.getuid() != 0:
            return "network namespaces need root (run the tests as root, in a container with CAP_NET_ADMIN)"
        if missing := [name for name in ("ip", "nsenter") if shutil.which(name) is None]:
            return f"{', '.join(missing)} not found (install: apt-get install iproute2 util-linux)"
        return None

    def names(self, hosts: Iterable[str]) -> list[str]:
        """The names of all namespaces, once `hosts` are there."""
        return [self._name(host) for host in ("switch", *hosts)]

    def enter(self, host: str = "switch") -> list[str]:
        """The beginning of a command that runs on `host`, or beside all hosts. (`ip netns exec` hides the cgroups.)"""
        return ["nsenter", f"--net={_NAMESPACES / self._name(host)}"]

    def create(self) -> None:
        switch = self._name("switch")
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "name", "bridge0", "type", "bridge")
        _ip("-n", switch, "addr", "add", f"{_SWITCH_ADDRESS}/24", "dev", "bridge0")
        for device in ("lo", "bridge0"):
            _ip("-n", switch, "link", "set", device, "up")

    def add(self, host: str, address: str) -> None:
        """Give `host` a namespace with `address`, connected to all others."""
        switch, name, port = self._name("switch"), self._name(host), _port(host)
        _ip("netns", "add", name)
        self._addresses[host] = address
        _ip("-n", switch, "link", "add", "name", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", name, "link", "set", device, "up")
        _ip("-n", switch, "link", "set", port, "up")
        _ip("-n", switch, "link", "set", port, "master", "bridge0")
        self._reserve(host, API_PORT, AGENT_PORT)

    def _reserve(self, host: str, *ports: int) -> None:
        """Keep connections that go out of `host` from these ports: who is to listen there would find one taken."""
        words = ["sh", "-c", f"echo {','.join(map(str, ports))} > /proc/sys/net/ipv4/ip_local_reserved_ports"]
        subprocess.run([*self.enter(host), *words], capture_output=True, check=True)

    def cut(self, host: str) -> None:
        """Take the link of `host` away, both directions."""
        _ip("-n", self._name("switch"), "link", "set", _port(host), "nomaster")
        self._cut.add(host)

    def mend(self, host: str) -> None:
        _ip("-n", self._name("switch"), "link", "set", _port(host), "master", "bridge0")
        self._cut.discard(host)

    def drop(self, sender: str, receiver: str) -> None:
        """Lose what `sender` sends to `receiver`, and only that: the other direction carries."""
        address = self._addresses[receiver]
        _ip(*self._neighbour(sender, "replace", address), "lladdr", _NOWHERE, "nud", "permanent")
        self._dropped.add((sender, receiver))

    def carry(self, sender: str, receiver: str) -> None:
        _ip(*self._neighbour(sender, "del", self._addresses[receiver]))
        self._dropped.discard((sender, receiver))

    def heal(self) -> None:
        """Mend whatever was cut or dropped."""
        for host in sorted(self._cut):
            self.mend(host)
        for sender, receiver in sorted(self._dropped):
            self.carry(sender, receiver)

    def _neighbour(self, host: str, verb: str, address: str) -> Sequence[str]:
        return ("-n", self._name(host), "neighbour", verb, address, "dev", "eth0")

    def _name(self, host: str) -> str:
        return f"{self.prefix}-{host}"


def remove(names: Iterable[str]) -> None:
    """Delete the namespaces, and with them everything in them; those that are gone already are no error."""
    for name in names:
        if (_NAMESPACES / name).exists():
            _ip("netns", "del", name)


def _port(host: str) -> str:
    return f"to-{host}"[:15]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"cannot change the test's network: ip {' '.join(words)}: {done.stderr.strip()}"
            " (it needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel with veth and bridge)"
        )
