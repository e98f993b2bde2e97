"""The power switch of a cluster that runs on one machine: it cuts a host's power, and switches it on again.

A host cannot do that for others: what its processes start is its own, and dies with it. So a small process beside the
hosts does, from `up` on. It listens on `<run>/power.sock`, its owner's only, and runs what `inaetics kill HOST` and
`inaetics up HOST` run, each as a program of its own. It ends a moment after its socket is gone: a halt of the whole
cluster and a destroy take that away.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from inaetics.errors import InaeticsError, InvalidInput
from inaetics.hosts.paths import ClusterPaths, cluster_paths
from inaetics.hosts.power import PROGRAM

ACTIONS = ("kill", "start")
LOOK_S = 1.0
WITHIN_S = 120.0
MOST_BYTES = 1000


def serve(paths: ClusterPaths) -> None:
    """Answer until the socket is gone, one wish after the other."""
    place = paths.switch
    begun = place.with_suffix(".new")  # whoever finds the socket can connect: it is there only once somebody listens
    begun.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        mask = os.umask(0o177)
        listening.bind(str(begun))
        os.umask(mask)
        listening.listen()
        begun.replace(place)
        listening.settimeout(LOOK_S)
        ours = os.stat(place).st_ino
        while _is(place, ours):
            with suppress(TimeoutError):
                connection, _ = listening.accept()
                with connection, suppress(OSError):  # who asked has gone
                    connection.settimeout(LOOK_S)
                    connection.sendall(_answer(paths, connection.recv(MOST_BYTES)))


def turn(paths: ClusterPaths, action: str, host: str) -> None:
    """Do it, in this process. Raises what `kill` and `up` raise."""
    if action == "kill":
        from inaetics.hosts.kill import kill

        kill(paths, [host])
        return
    from inaetics.hosts.progress import Silence
    from inaetics.hosts.settle import Request
    from inaetics.hosts.up import up

    up(paths, Request(hosts=(host,)), Silence())


def _is(place: Path, inode: int) -> bool:
    try:
        return os.stat(place).st_ino == inode
    except OSError:
        return False


def _answer(paths: ClusterPaths, asked: bytes) -> bytes:
    """What a program made of the wish: an object, empty when it is done."""
    action, _, host = asked.decode(errors="replace").strip().partition(" ")
    if action not in ACTIONS or not host.replace("-", "").isalnum():
        return json.dumps({"kind": "InvalidInput", "error": f"the power switch does not understand {asked!r}"}).encode()
    command = [sys.executable, "-P", "-m", PROGRAM, action, paths.name, host]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WITHIN_S, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        return json.dumps({"kind": "Unavailable", "error": f"{action} {host} took over {WITHIN_S:g} s"}).encode()
    if done.returncode == 0:
        return b"{}"
    words = done.stdout.decode(errors="replace") if done.stdout else ""
    return words.encode() or json.dumps({"kind": "Unavailable", "error": f"{action} {host} failed"}).encode()


def main(arguments: list[str]) -> int:
    """`serve CLUSTER`, or `kill CLUSTER HOST` and `start CLUSTER HOST`, which print their error as JSON."""
    action, paths = arguments[0], cluster_paths(arguments[1])
    if action == "serve":
        serve(paths)
        return 0
    try:
        if action not in ACTIONS:
            raise InvalidInput(f"{action!r} is none of {', '.join(ACTIONS)}")
        turn(paths, action, arguments[2])
    except InaeticsError as error:
        sys.stdout.write(json.dumps({"kind": type(error).__name__, "error": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
