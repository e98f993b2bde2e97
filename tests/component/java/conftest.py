"""The Java agent, compiled from its sources, and programs around a real etcd with certificates."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from inaetics import resources
from inaetics.bundles.records import Artifact
from inaetics.bundles.signature import Signature
from inaetics.cli.bundle_java import OSGI_JARS
from inaetics.containers.javac import JDK_PACKAGE, compile_jar
from inaetics.containers.process import find_program
from tests.support.agents import Program, Site
from tests.support.etcd import etcd_server
from tests.support.signing import Signing, signing

FELIX = Path(OSGI_JARS[0])
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def javac() -> Path:
    assert FELIX.exists(), f"these tests need {FELIX}: tools/install-packages --test"
    return Path(find_program("javac", package=JDK_PACKAGE))


@pytest.fixture(scope="session")
def jars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled jars are: of one run, whichever of its processes compiled them. Compiling costs seconds."""
    mine = tmp_path_factory.getbasetemp()
    directory = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "jars"
    directory.mkdir(exist_ok=True)
    return directory


@pytest.fixture(scope="session")
def agent_jar(javac: Path, jars: Path) -> Path:
    return _once(jars / "agent.jar", resources.java_directory() / "agent", javac, FELIX)


@pytest.fixture(scope="session")
def programs_jar(javac: Path, jars: Path, agent_jar: Path) -> Path:
    """What `programs` compiles to."""
    return _once(jars / "programs.jar", PROGRAMS, javac, agent_jar, FELIX)


@pytest.fixture(scope="session")
def classpath(programs_jar: Path, agent_jar: Path) -> str:
    """For a program of ours that uses classes of the agent."""
    return f"{programs_jar}:{agent_jar}:{FELIX}"


def _once(jar: Path, sources: Path, javac: Path, *classpath: Path) -> Path:
    with jar.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jar.exists():
            compile_jar(sources, jar, javac=javac, classpath=classpath)
    return jar


class JavaSite(Site):
    """A site with certificates, where bundles are signed and Java agents may run."""

    agent_jar: Path
    signer: Signing

    def java_agent(self, name: str, **environment: str) -> Program:
        given = {"INAETICS_AGENT_JAR": str(self.agent_jar), "INAETICS_FELIX": str(FELIX.parent), **environment}
        return self.run([str(resources.java_directory() / "run-agent")], name, **given)

    @override
    def publish(self, sign: Callable[[str], Signature | None] | None = None) -> list[Artifact]:
        return super().publish(sign or self.signer.sign)


@pytest.fixture
def site(tmp_path: Path, agent_jar: Path) -> Iterator[JavaSite]:
    with java_site(tmp_path, agent_jar) as made:
        yield made


@contextmanager
def java_site(place: Path, agent_jar: Path) -> Iterator[JavaSite]:
    with etcd_server(tls=True) as etcd:
        made = JavaSite(etcd, place)
        made.agent_jar = agent_jar
        made.signer = signing(place / "signing")
        (Path(made.environment["INAETICS_TLS_DIR"]) / "signers.pem").write_text(made.signer.anchors.read_text())
        try:
            yield made
        finally:
            made.close()
