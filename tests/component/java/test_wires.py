"""Connections of Java agents: certificates that are renewed under them, and machines that vanish."""

from __future__ import annotations

import subprocess

import pytest

from tests.component.java.conftest import JAVA
from tests.support.etcd import Authority

pytestmark = pytest.mark.timeout(300)  # the first of a run compiles

ADDRESS = "127.0.0.1"
CLASSES = ("--add-opens", "java.base/java.net=ALL-UNNAMED", "--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED")


@pytest.fixture(scope="module")
def said(classpath: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `Wires.java` says of each."""
    place = tmp_path_factory.mktemp("wires")
    for name in ("old", "new"):
        (place / name).mkdir()
        authority = Authority(place / name, f"authority {name}")
        authority.issue(place / name / "cert", [name], [ADDRESS])
        (place / name / "cert.key").rename(place / name / "key.pem")
    (place / "torn").mkdir()
    for name, source in (("ca.pem", "new"), ("cert.pem", "new"), ("key.pem", "old")):
        (place / "torn" / name).write_bytes((place / source / name).read_bytes())
    done = subprocess.run(
        [*JAVA, *CLASSES, "-cp", classpath, "inaetics.remote.Wires", place],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return dict(line.split(": ") for line in done.stdout.splitlines() if not line.startswith("{"))


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ("both old", "understood"),
        ("provider's files do not fit", "understood"),
        ("provider renewed", "not understood"),
        ("provider renewed, connection that stands", "understood"),
        ("both renewed", "understood"),
        ("caller renewed", "not understood"),
    ],
)
def test_new_connections_use_the_certificates_of_now(said: dict[str, str], case: str, outcome: str) -> None:
    """Old and new are of authorities that do not know each other."""
    assert said[case] == outcome


@pytest.mark.parametrize("side", ["caller", "provider"])
def test_the_kernel_notices_within_ten_seconds_that_a_machine_is_gone(said: dict[str, str], side: str) -> None:
    """Keep-alive after 5 s, thrice every 2 s; and 10 s for what is sent and not acknowledged."""
    assert said[side] == "true 5 2 3 10000"
