"""The first words on a connection: both sides say which protocol they speak and who they are."""

from __future__ import annotations

import time

from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.remote.stream import Stream
from inaetics.node.remote.wire import PROTOCOL, WINDOW, Frames, Hello, Message, encode


def greet(stream: Stream, frames: Frames, framework: str, *, within_s: float) -> tuple[Hello, list[Message]]:
    """Exchange Hellos; returns the other's, and what came right behind it.

    Raises `Unavailable` when the other speaks something else, `OSError` when it says nothing.
    """
    end = time.monotonic() + within_s
    stream.send(encode(Hello(PROTOCOL, framework, WINDOW)), within_s=within_s)
    messages: list[Message] = []
    while not messages:
        data = stream.receive(frames.chunk, within_s=end - time.monotonic())
        if not data:
            raise Unavailable("the other side closed the connection")
        messages = _understood(frames, data)
    hello, *behind = messages
    if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
        said = f"protocol {hello.protocol}" if isinstance(hello, Hello) else f"{type(hello).__name__} first"
        raise Unavailable(f"the other side does not speak protocol {PROTOCOL} but {said}")
    return hello, behind


def _understood(frames: Frames, data: bytes) -> list[Message]:
    try:
        return frames.feed(data)
    except InvalidInput as error:
        raise Unavailable(f"the other side does not speak our protocol: {error}") from error
