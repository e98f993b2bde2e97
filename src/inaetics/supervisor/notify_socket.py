"""Receiving sd_notify messages: one datagram socket for each unit that may send them.

A socket of its own tells which unit speaks without asking who the sender is; its path depends on the unit's name
only, so a restarted supervisor listens where the unit's processes already send to.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CREDENTIALS = struct.Struct("iii")
_MAX_MESSAGE = 65536


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message, as the kernel says."""

    pid: int
    uid: int


OnMessage = Callable[[Sender, dict[str, str]], None]
"""Called with the sender and the assignments of one message."""


class NotifySocket:
    """Listens at `path`, in the directory, for one unit."""

    def __init__(self, directory: Path, unit: str, on_message: OnMessage) -> None:
        self.path = directory / hashlib.sha256(unit.encode()).hexdigest()[:16]
        self._on_message = on_message
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self.path.unlink(missing_ok=True)
        self._socket.bind(str(self.path))
        os.chmod(self.path, 0o777)  # the directory is its owner's only, and says who may come near
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        asyncio.get_running_loop().add_reader(self._socket, self.drain)

    def drain(self) -> None:
        """Take in every message that waits; call it before judging the end of a process that may have sent one."""
        while self._socket.fileno() >= 0:
            try:
                data, ancillary, _flags, _address = self._socket.recvmsg(_MAX_MESSAGE, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return
            self._on_message(_sender(ancillary), _assignments(data))

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self.path.unlink(missing_ok=True)


def _sender(ancillary: list[tuple[int, int, bytes]]) -> Sender:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, uid, _gid = _CREDENTIALS.unpack_from(data)
            return Sender(pid, uid)
    return Sender(0, -1)


def _assignments(data: bytes) -> dict[str, str]:
    lines = data.decode("utf-8", errors="replace").splitlines()
    return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}
