"""Telling the supervisor that started us how we are: the sd_notify protocol, without a library.

Works under the embedded supervisor and under systemd alike; without NOTIFY_SOCKET in the environment
(started by hand) it does nothing.
"""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> bool:
    """Send `assignments` ("READY=1", "STATUS=joining", "STOPPING=1", "MAINPID=42") as one message.

    Returns whether a supervisor was told. A supervisor that is away for a moment is no reason to fail:
    then the answer is False. Blocks only while the socket's queue is full.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return False
    return True
