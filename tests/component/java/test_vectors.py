"""The wire format in Java, and what an agent takes: by the vectors that Python reads, too."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from inaetics.node.remote.wire import PROTOCOL, Frames, Hello, Message, encode
from tests.component.java.conftest import JAVA
from tests.unit.node.test_remote_vectors import ADDRESS, VECTORS, load, matches

pytestmark = pytest.mark.timeout(300)  # the first of a run compiles

PROVISIONING = VECTORS.parent / "provisioning"
IN_FORCE = PROVISIONING / "in-force.json"


@pytest.fixture(scope="module")
def vectors(classpath: str) -> Iterator[subprocess.Popen[str]]:
    """`Vectors.java`, running; what it says comes line by line."""
    command = [*JAVA, "-cp", classpath, "Vectors", str(VECTORS), str(PROVISIONING)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_java_reads_and_writes_every_vector_and_answers_as_written(vectors: subprocess.Popen[str]) -> None:
    said: list[str] = []
    assert vectors.stdout is not None
    while not (line := vectors.stdout.readline().strip()).startswith("port "):
        assert line, f"it ended after {said}"
        said.append(line)
    expected = len(load("frames")["vectors"]) + sum(len(load("refused")[each]) for each in ("refused", "unfinished"))
    expected += 1 + len(load("discovery")["refused"]) + len(json.loads(IN_FORCE.read_bytes())["cases"])
    assert said == [f"looked at {expected}"]
    for vector in load("conversations")["conversations"]:
        answers, closed = converse(int(line.split()[1]), vector["caller"], len(vector["provider"]))
        for one in vector["provider"]:
            alternatives = [one, *vector.get("or", ())]
            candidates = answers if vector.get("unordered") else answers[:1]
            fitting = [answer for answer in candidates if any(matches(answer, each) for each in alternatives)]
            assert fitting, f"{vector['name']}: {answers} is not {alternatives}"
            answers.remove(fitting[0])
        assert (answers, closed) == ([], bool(vector.get("closed"))), vector["name"]


def converse(port: int, packets: list[str], wanted: int) -> tuple[list[Message], bool]:
    """What the provider answers, as many frames as are wanted, and whether it then closes the connection."""
    frames, found = Frames(), list[Message]()
    with socket.create_connection((ADDRESS, port), timeout=10) as stream:
        stream.sendall(encode(Hello(PROTOCOL, "caller")))
        for packet in packets:
            stream.sendall(bytes.fromhex(packet))
        while len(found) < wanted + 1:
            found += frames.feed(stream.recv(65536))
        assert isinstance(found[0], Hello)
        if wanted:
            return found[1:], False
        return found[1:], stream.recv(1) == b""
