"""The far end of a way over ssh: standard input and output, forwarded to a socket of that machine's.

`fleetctl fd-forward` is this. A tunnel sends the text of this module to the python3 of the machine at its other end,
which need not have anything of ours on anybody's PATH: so it imports nothing of ours, and uses nothing that Python 3.7
lacks.

Promises: the end of the input is passed on, and what the socket still has to say is delivered; when the socket's other
side ends, or nobody reads any more, so does this.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import stat
import struct
import sys
import threading

PIECE = 65536

SAYS = "inaetics-tunnel: "
"""Begins the one line with which the far end answers before anything passes. A login shell may have written others."""


def forward(connection: socket.socket, source: int = 0, sink: int = 1) -> None:
    """Pass on what `source` has and what comes back, until `connection` ends or nobody reads `sink`."""
    threading.Thread(target=_send, args=(connection, source), daemon=True).start()
    try:
        while True:
            data = connection.recv(PIECE)
            if not data:
                return
            while data:
                data = data[os.write(sink, data) :]
    except ConnectionError:  # who closes without a word has ended as well: the client knows what is missing
        return


def _send(connection: socket.socket, source: int) -> None:
    """In a thread of its own; it ends with the process."""
    try:
        while True:
            data = os.read(source, PIECE)
            if not data:
                connection.shutdown(socket.SHUT_WR)
                return
            connection.sendall(data)
    except OSError:  # the other direction says how it ended
        return


def connect(path: str) -> socket.socket:
    """A connection to the Unix socket `path`; raises `OSError`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def sockets(cluster: str) -> list[str]:
    """The sockets of the cluster's APIs, in the order of their hosts: ours alone, whatever others put into /tmp."""
    found = []
    for root in _run_roots():
        for host in _listed(os.path.join(root, cluster)):
            path = os.path.join(root, cluster, host, "fleet.sock")
            try:
                there = os.stat(path)
            except OSError:
                continue
            if stat.S_ISSOCK(there.st_mode) and there.st_uid == os.getuid():
                found.append((_natural(host), path))
    return [path for _, path in sorted(found)]


def _run_roots() -> list[str]:
    """Where clusters keep their sockets; the session that started one may have had another environment than this."""
    user = os.getuid()
    if user == 0:
        return ["/run/inaetics"]
    given = os.environ.get("XDG_RUNTIME_DIR")
    roots = [os.path.join(given, "inaetics")] if given else []
    return list(dict.fromkeys([*roots, f"/run/user/{user}/inaetics", f"/tmp/inaetics-{user}"]))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)]


def through(where: str | tuple[str, int] | None, cluster: str) -> None:
    """Forward to a Unix socket, an address, or (None) the first of the cluster's sockets that answers; say which."""
    connection = _reached(where, cluster)
    if connection is not None:
        _say("through")
        forward(connection)


def program(where: str | None, cluster: str) -> None:
    """Say which Python serves the socket, and what of its environment says where the cluster is."""
    connection = _reached(where, cluster)
    if connection is None:
        return
    identity = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process = struct.unpack("3i", identity)[0]
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            python = file.read().split(b"\0")[0].decode()
        with open(f"/proc/{process}/environ", "rb") as file:
            environment = [line.decode(errors="replace") for line in file.read().split(b"\0")]
    except OSError as error:
        _say("refused", error.errno, f"/proc/{process}: {error.strerror}")
        return
    told = dict(line.split("=", 1) for line in environment if "=" in line)
    places = [f"{name}={told[name]}" for name in ("INAETICS_HOME", "XDG_RUNTIME_DIR") if name in told]
    _say("program", told.get("INAETICS_PYTHON", python), *places)


def _reached(where: str | tuple[str, int] | None, cluster: str) -> socket.socket | None:
    failure = None
    for place in sockets(cluster) if where is None else [where]:
        try:
            return connect(place) if isinstance(place, str) else socket.create_connection(place)
        except OSError as error:
            failure = error
    if failure is None:
        _say("none", pwd.getpwuid(os.getuid()).pw_name)
    else:
        _say("refused", failure.errno, failure.strerror or str(failure))
    return None


def _say(what: str, *words: object) -> None:
    """One line, at the beginning of a line whatever was written before."""
    sys.stdout.write(f"\n{SAYS}{json.dumps([what, *words])}\n")
    sys.stdout.flush()
