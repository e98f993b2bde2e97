"""A real sshd on an address of its own, run by whoever runs the tests, with keys that it makes and throws away.

Nothing of this machine's ssh is touched: the server's settings and keys are its own, and the client's key is in an
agent of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.etcd import free_subnet
from tests.support.eventually import eventually

PORT, NOISY_PORT, STRANGE_PORT = 40022, 40023, 40024
"""Where it listens; where what logs in is greeted on its standard output first; where nobody gets a shell."""

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Where sshd locks its unprivileged half in, when root runs it. Debian's service makes it, and is not run here."""


SEEN = ("INAETICS_TEST", "XDG_RUNTIME_DIR")
"""What of our environment is in its sessions': whose they are, and what a login without PAM lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sshd:
    """A server that runs; the environment for clients whose key it takes."""

    address: str
    known_hosts: Path
    agent: Path
    stranger: Path
    """The socket of an agent whose key it does not take."""
    log: Path

    def place(self, port: int = PORT) -> str:
        return f"{self.address}:{port}"

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLEETCTL_", "SSH_"))}
        return {**clean, "SSH_AUTH_SOCK": str(self.agent), **more}


@contextmanager
def running_sshd(directory: Path) -> Iterator[Sshd]:
    """Start it; ends it and the agents. Fails where Debian's openssh-server is missing."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    assert program is not None, "there is no sshd here: tools/install-packages --test"
    if os.getuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    address = f"{free_subnet()}.1"
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    keys = (directory / "host.pub").read_text()
    known = "".join(f"[{address}]:{port} {keys}" for port in (PORT, NOISY_PORT, STRANGE_PORT))
    (directory / "known_hosts").write_text(known)
    (directory / "sshd_config").write_text(_config(directory, address))
    log = directory / "sshd.log"
    with _agent(directory, "user") as agent, _agent(directory, "stranger") as stranger, log.open("wb") as out:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(directory / "sshd_config")], stderr=out)
        try:
            eventually(
                lambda: log.read_text().count("Server listening") == 3 or server.poll() is not None,
                within_s=20,
                what="sshd listens",
            )
            assert server.poll() is None, log.read_text()
            yield Sshd(address=address, known_hosts=directory / "known_hosts", agent=agent, stranger=stranger, log=log)
        finally:
            server.terminate()
            server.wait(10)


def _config(directory: Path, address: str) -> str:
    listening = "".join(f"ListenAddress {address}:{port}\n" for port in (PORT, NOISY_PORT, STRANGE_PORT))
    return f"""\
{listening}HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
AllowUsers {pwd.getpwuid(os.getuid()).pw_name}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
SetEnv {" ".join(f"{name}={os.environ[name]}" for name in SEEN if name in os.environ)}
Match LocalPort {NOISY_PORT}
  ForceCommand printf 'Welcome!\\nUnfinished'; exec sh -c "$SSH_ORIGINAL_COMMAND"
Match LocalPort {STRANGE_PORT}
  ForceCommand echo 'This account is currently not available.' >&2; exit 1
"""


@contextmanager
def _agent(directory: Path, key: str) -> Iterator[Path]:
    socket = directory / f"{key}.agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        eventually(socket.exists, within_s=20, what="the agent listens")
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(directory / key)], env=environment, check=True, timeout=20)
        (directory / key).unlink()  # the agent alone has it
        yield socket
    finally:
        process.terminate()
        process.wait(10)
