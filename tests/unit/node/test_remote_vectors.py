"""The wire format as `tests/vectors/remote` has it, for every language: frames, refusals, conversations, discovery."""

from __future__ import annotations

import datetime
import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inaetics.errors import InvalidInput, NotFound
from inaetics.node.remote.discovery import PREFIX, decode_endpoint
from inaetics.node.remote.endpoints import Endpoints
from inaetics.node.remote.server import Server
from inaetics.node.remote.wire import (
    PROTOCOL,
    Answer,
    Call,
    Cancel,
    Failure,
    Frames,
    Hello,
    Message,
    OneWay,
    Ping,
    encode,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "remote"
ADDRESS = "127.0.0.1"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def cases(entries: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(entry, id=entry["name"]) for entry in entries]


def value(written: Any) -> Any:
    """A value that JSON has no form for."""
    match written:
        case {"$hex": str(text)}:
            return bytes.fromhex(text)
        case {"$float": str(text)}:
            return float(text)
        case {"$time": str(text)}:
            return datetime.datetime.fromisoformat(text)
        case _:
            return written


def message(frame: dict[str, Any]) -> Message:
    match frame:
        case {"kind": "hello"}:
            return Hello(frame["protocol"], frame["framework"], frame["window"])
        case {"kind": "call"}:
            named = (frame["endpoint"], frame["method"], frame["args"], frame["kwargs"])
            return Call(frame["id"], *named, frame["within_ms"])
        case {"kind": "answer"}:
            return Answer(frame["id"], value(frame["value"]))
        case {"kind": "failure"}:
            return Failure(frame["id"], frame["reason"], frame["error"], frame["message"])
        case {"kind": "one-way"}:
            return OneWay(frame["endpoint"], frame["method"], frame["args"], frame["kwargs"])
        case {"kind": "cancel"}:
            return Cancel(frame["id"])
        case {"kind": "ping"}:
            return Ping(frame["id"], frame["endpoint"])
        case _:
            raise AssertionError(frame)


@pytest.mark.parametrize("vector", cases(load("frames")["vectors"]))
def test_frame_means_what_is_written(vector: dict[str, Any]) -> None:
    found, expected = Frames().feed(bytes.fromhex(vector["hex"])), message(vector["frame"])
    if isinstance(expected, Answer) and isinstance(expected.value, float) and math.isnan(expected.value):
        assert math.isnan(msgspec.structs.asdict(found[0])["value"])
    else:
        assert found == [expected]
        assert repr(found) == repr([expected]), "of the same types"
    if vector["canonical"]:
        assert encode(expected).hex() == vector["hex"]


def test_vectors_are_of_this_protocol_and_have_every_kind() -> None:
    vectors = load("frames")
    assert vectors["protocol"] == PROTOCOL
    kinds = {vector["frame"]["kind"] for vector in vectors["vectors"]}
    assert kinds == {"hello", "call", "answer", "failure", "one-way", "cancel", "ping"}


@pytest.mark.parametrize("vector", cases(load("refused")["refused"]))
def test_stream_is_refused(vector: dict[str, Any]) -> None:
    repeat = vector.get("repeat", {"hex": "", "times": 0})
    with pytest.raises(InvalidInput):
        Frames().feed(bytes.fromhex(vector["hex"]) + bytes.fromhex(repeat["hex"]) * repeat["times"])


@pytest.mark.parametrize("vector", cases(load("refused")["unfinished"]))
def test_stream_is_unfinished(vector: dict[str, Any]) -> None:
    assert Frames().feed(bytes.fromhex(vector["hex"])) == []


class Service:
    def echo(self, given: Any) -> Any:
        return given

    def fail(self, text: str) -> None:
        raise NotFound(text)

    def unsendable(self) -> object:
        return object()

    def _secret(self) -> str:
        return "secret"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    endpoints = Endpoints()
    endpoints.add("e", Service())
    server = Server(ADDRESS, "provider", endpoints, None)
    yield server.start()
    server.stop()


def matches(found: Message, expected: dict[str, Any]) -> bool:
    names = {"error": "kind"}
    fields = {names.get(name, name): value(each) for name, each in expected.items() if name != "kind"}
    return type(found).__name__.lower() == expected["kind"] and all(
        getattr(found, name) == each for name, each in fields.items()
    )


@pytest.mark.parametrize("vector", cases(load("conversations")["conversations"]))
def test_provider_answers_as_written(port: int, vector: dict[str, Any]) -> None:
    expected: list[dict[str, Any]] = vector["provider"]
    found: list[Message] = []
    frames = Frames()
    with socket.create_connection((ADDRESS, port), timeout=10) as stream:
        stream.sendall(encode(Hello(PROTOCOL, "caller")))
        for packet in vector["caller"]:
            stream.sendall(bytes.fromhex(packet))
        while len(found) < len(expected) + 1:
            found += frames.feed(stream.recv(65536))
        if vector.get("closed"):
            assert stream.recv(1) == b""
    hello, *answers = found
    assert isinstance(hello, Hello)
    for one in expected:
        alternatives = [one, *vector.get("or", ())]
        candidates = answers if vector.get("unordered") else answers[:1]
        fitting = [answer for answer in candidates if any(matches(answer, each) for each in alternatives)]
        assert fitting, f"{answers} is not {alternatives}"
        answers.remove(fitting[0])
    assert answers == []


def test_endpoint_in_etcd_means_what_is_written() -> None:
    vector = load("discovery")["endpoint"]
    means = vector["means"]
    endpoint = decode_endpoint(vector["value"].encode())
    assert endpoint is not None
    assert vector["key"] == f"{PREFIX}{means['framework']}/{means['endpoint']}"
    assert endpoint.get_interfaces() == means["interfaces"]
    assert (endpoint.get_id(), endpoint.get_framework_uuid()) == (means["endpoint"], means["framework"])
    assert endpoint.get_container_id()[1] == f"inaetics://{means['address']}:{means['port']}"
    properties = endpoint.get_properties()
    assert properties["inaetics.remote.timeout.s"] == means["timeout_s"]
    assert {name: properties[name] for name in means["properties"]} == means["properties"]


@pytest.mark.parametrize("vector", cases(load("discovery")["refused"]))
def test_endpoint_in_etcd_is_left_out(vector: dict[str, Any]) -> None:
    assert decode_endpoint(vector["value"].encode()) is None
