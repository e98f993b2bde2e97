"""The demonstrator's pipeline as processes of its own on loopback: real bundles, real remote calls, no containers.

Each stage is a Pelix framework with our distribution: `python -m tests.support.pipeline NAME DIRECTORY BUNDLE...`.
Endpoints are files of the directory instead of keys of etcd: whoever starts writes there, everybody looks there, and
who ends a process removes its file, as an ended lease does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pelix.framework import Framework, create_framework
from pelix.rsa import ImportRegistration, RemoteServiceAdmin
from pelix.rsa.topologymanagers.basic import instantiate_basic_topology_manager

from inaetics.demonstrator.api import ACCOUNTING, PIPELINE_CONTROL, AccountingReport
from inaetics.node import api
from inaetics.node.agent import REMOTE_BUNDLES
from inaetics.node.remote.discovery import decode_endpoint, encode_endpoint
from inaetics.node.remote.distribution import Distribution

ADDRESS = "127.0.0.1"
LOOK_S = 0.05


class Stage:
    """A framework in this process that exports to, and imports from, a directory."""

    def __init__(self, name: str, directory: Path, properties: Mapping[str, object]) -> None:
        self._name = name
        self._directory = directory
        data = directory / "data" / name
        data.mkdir(parents=True, exist_ok=True)
        self.framework: Framework = create_framework(
            ("pelix.ipopo.core", *REMOTE_BUNDLES),
            {api.AGENT: name, api.ADDRESS: ADDRESS, api.HOST: name, api.DATA: str(data), **properties},
        )
        self.framework.start()
        self.context = self.framework.get_bundle_context()
        instantiate_basic_topology_manager(self.context)
        self._distribution = Distribution(self.framework, None)
        self._distribution.start()
        self._imported: dict[str, ImportRegistration] = {}
        self._said: list[str] = []

    def install(self, bundles: Sequence[str]) -> None:
        for name in bundles:
            self.context.install_bundle(f"inaetics.demonstrator.bundles.{name}.component").start()

    def look(self) -> None:
        """Tell what is exported here, import what is exported elsewhere, let go of what is gone."""
        admin = self._admin()
        own = [encode_endpoint(_properties(each)).decode() for each in admin.get_exported_services()]
        if sorted(own) != self._said:
            self._said = sorted(own)
            _replace(self._directory / f"{self._name}.endpoints", json.dumps(self._said))
        there = {text for path in self._directory.glob("*.endpoints") for text in _texts(path)} - set(own)
        for text in [text for text in self._imported if text not in there]:
            self._imported.pop(text).close()
        for text in there - self._imported.keys():
            endpoint = decode_endpoint(text.encode())
            assert endpoint is not None
            self._imported[text] = admin.import_service(endpoint)

    def services(self, specification: str) -> dict[str, Any]:
        """Services of all stages by the name of their stage."""
        references: Iterable[Any] = self.context.get_all_service_references(specification) or ()
        return {str(r.get_property(api.REMOTE_AGENT) or self._name): self.context.get_service(r) for r in references}

    def close(self) -> None:
        self._distribution.stop()
        self.framework.stop()
        self.framework.delete(True)

    def _admin(self) -> RemoteServiceAdmin:
        reference = self.context.get_service_reference(RemoteServiceAdmin)
        assert reference is not None
        return self.context.get_service(reference)


class Pipeline:
    """Stages as processes, and a look at them from here. Use it with ``with``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.view = Stage("view", directory, {})

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        self.view.close()

    def start(self, name: str, *bundles: str, **properties: object) -> None:
        """Start a stage; `producer_rate=5` sets the framework property ``inaetics.producer.rate``."""
        given = {f"inaetics.{key.replace('_', '.')}": value for key, value in properties.items()}
        command = [sys.executable, "-m", "tests.support.pipeline", name, str(self.directory), *bundles]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*command, "--properties", json.dumps(given)], stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """As a power cut; what it announced is gone at once."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        (self.directory / f"{name}.endpoints").unlink(missing_ok=True)

    def services(self, specification: str) -> dict[str, Any]:
        self.view.look()
        return self.view.services(specification)

    def set_utilisation(self, percent: float) -> None:
        for service in self.services(PIPELINE_CONTROL).values():
            service.set_utilisation(percent)

    def report(self, *, after_ms: float = 0) -> AccountingReport:
        """The last accounting. Raises AssertionError while there is none, or none younger than `after_ms`; RuntimeError
        when a stage has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                said = (self.directory / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} has ended with status {process.returncode}: {said[-500:]}")
        latest = [service.latest() for service in self.services(ACCOUNTING).values()]
        assert latest, "there is no accounting"
        assert latest[0] is not None, "the accounting has not begun"
        report = msgspec.convert(latest[0], AccountingReport)
        assert report.at_ms > after_ms, report
        return report

    def cpu_s(self, name: str) -> float:
        """Processor time that a stage has used."""
        fields = Path(f"/proc/{self.processes[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _properties(registration: Any) -> dict[str, Any]:
    description = registration.get_description()
    assert description is not None
    properties: dict[str, Any] = description.get_properties()
    return properties


def _texts(path: Path) -> list[str]:
    try:
        texts: list[str] = json.loads(path.read_text())
    except FileNotFoundError:  # it ended in this moment
        return []
    return texts


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("directory", type=Path)
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--properties", type=json.loads, default={})
    given = parser.parse_args()
    parent = os.getppid()
    stage = Stage(given.name, given.directory, given.properties)
    stage.install(given.bundles)
    while os.getppid() == parent:  # it ends with who started it
        stage.look()
        time.sleep(LOOK_S)
    stage.close()


if __name__ == "__main__":
    main()
