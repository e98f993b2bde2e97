"""The server holds nothing, and gives nothing it has not checked: killed, lied to, cut off."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import pytest

from inaetics.bundles.exchange import Report
from inaetics.bundles.records import KEPT_ENTRIES, LOG, Entry, Held, Standing, standing_key
from inaetics.bundles.signature import verify
from inaetics.errors import Unavailable
from inaetics.node.provisioning_client import ProvisioningClient
from inaetics.node.remote.tls import tls_contexts
from tests.support.agents import Program, Site, deployed
from tests.support.bundles import packed
from tests.support.etcd import etcd_server
from tests.support.eventually import eventually
from tests.support.signing import signing

X1, X2 = '[[rules]]\ntarget = "x"\ninstall = ["a@1.0.0"]', '[[rules]]\ntarget = "x"\ninstall = ["a@1.1.0"]'


@pytest.fixture
def bundles(site: Site, tmp_path: Path) -> Site:
    packed(tmp_path, "a", "1.0.0")
    packed(tmp_path, "a", "1.1.0", init="x = 1")
    site.set_mapping(X1)
    return site


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Site]:
    """Everything over mutual TLS."""
    with etcd_server(tls=True) as etcd:
        made = Site(etcd, tmp_path)
        try:
            yield made
        finally:
            made.close()


class Asker(Protocol):
    def __call__(self, site: Site, *, url: str = "", **more: Any) -> ProvisioningClient: ...


@pytest.fixture
def asker() -> Iterator[Asker]:
    """Makes clients, and closes them with the test."""
    made: list[ProvisioningClient] = []

    def make(site: Site, *, url: str = "", **more: Any) -> ProvisioningClient:
        url = url or eventually(site.agents_url, within_s=60, what="a server is registered")
        made.append(ProvisioningClient(url, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


def version_of(client: ProvisioningClient, *, after: str = "", wait_s: float = 20) -> str:
    """The version of x's deployment that is not `after`; empty when there is none within `wait_s`.

    A server that began a moment ago may be asked before it has read the mapping.
    """

    def ask() -> list[str]:
        try:
            found = client.deployment("x", after=after, running=after, error="", wait_s=wait_s)
        except Unavailable as error:
            if "there is no mapping" in str(error):
                return []
            raise
        return [found.version if found else ""]

    return eventually(ask, within_s=60, what="the server has read the mapping")[0]


def overview(server: Program) -> Any:
    return server.json("/overview")


def entries(site: Site, target: str) -> list[Entry]:
    return [msgspec.json.decode(value, type=Entry) for value in site.values(f"{LOG}{target}/")]


def test_a_change_is_told_at_once_and_what_came_of_it_is_written_down(bundles: Site, asker: Asker) -> None:
    bundles.provisioning()
    client = asker(bundles, where="worker-1 here")
    first = version_of(client)
    bundles.set_mapping(X2)
    second = version_of(client, after=first)
    assert second.startswith("2-")
    client.report("x", Report(version=second, state="installed", started=("a-1.1.0",), seconds=0.25))
    eventually(lambda: len(entries(bundles, "x")) == 3, within_s=60, what="three entries")
    told = [(entry.event, entry.version, entry.by) for entry in entries(bundles, "x")]
    assert told == [("given", first, "tester"), ("given", second, "tester"), ("installed", second, "tester")]
    (standing,) = bundles.values(standing_key("x"))
    assert msgspec.json.decode(standing, type=Standing).bundles == ("a-1.1.0",)


def test_the_log_of_a_target_is_bounded_and_keeps_the_youngest(bundles: Site, asker: Asker) -> None:
    bundles.provisioning()
    client = asker(bundles)
    for n in range(KEPT_ENTRIES + 45):
        client.report("x", Report(version=f"{n}-y", state="failed", error="no"))
    eventually(
        lambda: (
            KEPT_ENTRIES <= len(entries(bundles, "x")) <= KEPT_ENTRIES + 20
            and entries(bundles, "x")[-1].version == f"{KEPT_ENTRIES + 44}-y"
        ),
        within_s=60,
        what="old entries went",
    )


def test_a_server_killed_in_the_middle_of_a_deployment_is_replaced_by_any_other(bundles: Site, asker: Asker) -> None:
    """It gave the deployment and died; its successor, with nothing on its disk, gives the archive."""
    first = bundles.provisioning()
    client = asker(bundles)
    given = client.deployment("x", after="", running="", error="", wait_s=20)
    assert given is not None
    first.kill()
    second = bundles.provisioning(number=1)
    url = eventually(
        lambda: next((url for url in bundles.agents_urls() if second.address in url), ""), within_s=60, what="the next"
    )
    successor = asker(bundles, url=url)
    eventually(lambda: overview(second)["version"] == 1, within_s=60, what="it knows what is in force")
    assert successor.fetch(given.bundles[0])[:2] == b"PK"
    assert version_of(successor) == given.version, "any server says the same"
    successor.report("x", Report(version=given.version, state="installed"))
    eventually(
        lambda: [entry.event for entry in entries(bundles, "x")][-1:] == ["installed"], within_s=60, what="reported"
    )


def test_an_agent_survives_its_server_being_killed_while_it_switches(bundles: Site) -> None:
    first = bundles.provisioning()
    agent = bundles.agent("x")
    deployed(agent, "a-1.0.0")
    bundles.set_mapping(X2)
    eventually(lambda: any(e.version.startswith("2-") for e in entries(bundles, "x")), within_s=60, what="it is given")
    first.kill()
    bundles.provisioning(number=1)
    deployed(agent, "a-1.1.0")
    eventually(
        lambda: any(e.event == "installed" and e.version.startswith("2-") for e in entries(bundles, "x")),
        within_s=60,
        what="the log says so, whichever server heard it",
    )


def test_a_registry_that_is_away_or_lies_holds_a_change_back_and_nobody_else(bundles: Site, asker: Asker) -> None:
    server = bundles.provisioning()
    client = asker(bundles)
    first = version_of(client)
    bundles.registry.stop()
    bundles.set_mapping(X2)
    eventually(lambda: "does not answer" in str(overview(server)["troubles"]), within_s=60, what="the page says why")
    assert version_of(client, after=first, wait_s=0.2) == "", "who runs something goes on"
    with pytest.raises(Unavailable, match=r"cannot give bundle a-1\.1\.0"):
        version_of(client, wait_s=0.2)
    bundles.registry.start()
    assert version_of(client, after=first).startswith("2-")
    assert overview(server)["troubles"] == []


def test_unsigned_and_foreign_bundles_are_not_given(secured: Site, tmp_path: Path, asker: Asker) -> None:
    packed(tmp_path, "a", "1.0.0")
    ours, theirs = signing(tmp_path / "ours"), signing(tmp_path / "theirs")
    anchors = Path(secured.environment["INAETICS_TLS_DIR"]) / "signers.pem"
    anchors.write_text(ours.anchors.read_text())
    secured.set_mapping(X1)
    server = secured.provisioning()
    eventually(lambda: "it is not signed" in str(server.said("archive not to be had")), within_s=60, what="unsigned")
    secured.publish(theirs.sign)
    eventually(lambda: "does not know" in str(server.said("archive not to be had")), within_s=60, what="foreign")
    secured.publish(ours.sign)
    tls = tls_contexts(anchors.parent).client
    found = asker(secured, tls=tls).deployment("x", after="", running="", error="", wait_s=20)
    assert found is not None
    assert verify(found.bundles[0].sha256, found.bundles[0].signature, anchors=ours.anchors) == "signer"
    assert found.bundles[0].size == (secured.bundles / "a-1.0.0.zip").stat().st_size


def test_agents_without_a_certificate_are_not_answered(secured: Site) -> None:
    secured.provisioning()
    parts = urlsplit(eventually(secured.agents_url, within_s=60, what="registered"))
    assert parts.scheme == "https"
    context = ssl.create_default_context(cafile=Path(secured.environment["INAETICS_TLS_DIR"]) / "ca.pem")
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=5, context=context)

    def ask() -> None:
        connection.request("GET", "/deployments/x")
        connection.getresponse()

    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask()
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/reports/x", b"{", 400, id="no JSON"),
        pytest.param("POST", "/reports/x", b'{"version": "1", "state": "eaten"}', 400, id="a state nobody knows"),
        pytest.param("POST", "/reports/x", b"x" * 300_000, 400, id="too much"),
        pytest.param("POST", "/reports/..%2f..%2fx", b'{"version": "1", "state": "failed"}', 400, id="a path"),
        pytest.param("POST", "/elsewhere", b"{}", 404, id="no such place"),
        pytest.param("GET", "/deployments/a%2Fb", None, 400, id="a target that is a path"),
        pytest.param("GET", "/bundles/a/9.9.9", None, 404, id="no such bundle"),
        pytest.param("GET", "/", None, 404, id="no page here"),
    ],
)
def test_what_agents_must_not_ask_is_refused(
    refusing: Site, method: str, path: str, body: bytes | None, status: int
) -> None:
    parts = urlsplit(refusing.agents_url())
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        assert answer.status == status
        assert json.loads(answer.read())["error"]["message"]
    finally:
        connection.close()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with etcd_server() as etcd:
        made = Site(etcd, tmp_path_factory.mktemp("refusing"))
        try:
            made.provisioning()
            eventually(made.agents_url, within_s=60, what="registered")
            yield made
        finally:
            made.close()


def test_a_target_that_is_held_stays_while_others_follow(bundles: Site, asker: Asker) -> None:
    bundles.provisioning()
    client = asker(bundles)
    first = version_of(client)
    bundles.set_mapping('[[rules]]\ninstall = ["a@1.1.0"]', x=Held(version=1, bundles=("a@1.0.0",)))
    assert version_of(client, after=first, wait_s=0.5) == ""
    found = client.deployment("y", after="", running="", error="", wait_s=20)
    assert found is not None
    assert found.bundles[0].version == "1.1.0"
