"""Server-sent events as a browser gets them, for tests."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

PATIENCE_S = 20.0


class Events:
    """One open page. Use it with ``with``; it reads only while something is asked for."""

    def __init__(self, url: str, path: str = "/events") -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._end = ExitStack()
        self.connection = self._end.enter_context(socket.create_connection((host, int(port)), PATIENCE_S))
        self.connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        self._lines = self._end.enter_context(self.connection.makefile("rb"))
        self.status = int(self._lines.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._lines.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def raw(self) -> bytes:
        """The next event or comment, as it came. Raises EOFError when the page was closed."""
        found = b""
        while line := self._lines.readline():
            found += line
            if line == b"\n":
                return found
        raise EOFError(f"the events ended (after {found!r})")

    def next(self, name: str, until: Callable[[Any], object] = lambda data: True) -> Any:
        """The data of the next event of this name of which `until` is true."""
        while True:
            fields = dict(line.split(": ", 1) for line in self.raw().decode().splitlines() if ": " in line)
            if fields.get("event") == name:
                data = json.loads(fields["data"])
                if until(data):
                    return data
