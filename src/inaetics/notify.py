"""Telling the supervisor that started us how we are: the sd_notify protocol, without a library.

Works under the embedded supervisor and under systemd alike; without NOTIFY_SOCKET in the environment
(started by hand) it does nothing.
"""

from __future__ import annotations

import os
import socket
import time

_AWAY_S = 2.0
"""How long a supervisor that is being restarted may be away: what is not heard then is lost, and readiness matters."""


def notify(*assignments: str) -> bool:
    """Send `assignments` ("READY=1", "STATUS=joining", "STOPPING=1", "MAINPID=42") as one message.

    Returns whether a supervisor was told; without one there is nothing to tell, and no error. Waits up to two seconds
    for one that has an address but does not listen, and while its queue is full.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    end = time.monotonic() + _AWAY_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        while True:
            try:
                sock.sendto("\n".join(assignments).encode(), address)
            except OSError:
                if time.monotonic() > end:
                    return False
                time.sleep(0.05)
            else:
                return True
