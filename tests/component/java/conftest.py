"""The Java agent, compiled from its sources, and programs around a real etcd with certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typing_extensions import override

from inaetics import resources
from inaetics.bundles.signature import Signature
from inaetics.cli.bundle_java import OSGI_JARS
from inaetics.containers.javac import JDK_PACKAGE, compile_jar
from inaetics.containers.process import find_program
from tests.support.agents import Program, Site
from tests.support.etcd import etcd_server
from tests.support.signing import signing

FELIX = Path(OSGI_JARS[0])


@pytest.fixture(scope="session")
def javac() -> Path:
    assert FELIX.exists(), f"these tests need {FELIX}: tools/install-packages --test"
    return Path(find_program("javac", package=JDK_PACKAGE))


@pytest.fixture(scope="session")
def agent_jar(javac: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    jar = tmp_path_factory.mktemp("java") / "agent.jar"
    compile_jar(resources.java_directory() / "agent", jar, javac=javac, classpath=[FELIX])
    return jar


class JavaSite(Site):
    """A site with certificates, where bundles are signed and Java agents may run."""

    agent_jar: Path
    sign: Callable[[str], Signature]

    def java_agent(self, name: str, **environment: str) -> Program:
        given = {"INAETICS_AGENT_JAR": str(self.agent_jar), "INAETICS_FELIX": str(FELIX.parent), **environment}
        return self.run([str(resources.java_directory() / "run-agent")], name, **given)

    @override
    def publish(self, sign: Callable[[str], Signature | None] | None = None) -> None:
        super().publish(sign or self.sign)


@pytest.fixture
def site(tmp_path: Path, agent_jar: Path) -> Iterator[JavaSite]:
    with etcd_server(tls=True) as etcd:
        made = JavaSite(etcd, tmp_path)
        made.agent_jar = agent_jar
        signer = signing(tmp_path / "signing")
        made.sign = signer.sign
        (Path(made.environment["INAETICS_TLS_DIR"]) / "signers.pem").write_text(signer.anchors.read_text())
        try:
            yield made
        finally:
            made.close()
