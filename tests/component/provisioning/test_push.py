"""From a folder to the repository: a real registry, the real API, real signatures."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from inaetics.api import provisioning_client
from inaetics.api.client import FleetClient
from inaetics.api.provisioning_archives import RegistryArchives
from inaetics.api.provisioning_client import bundles, change, put_bundle, version
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.records import REPOSITORY
from inaetics.bundles.signature import verify
from inaetics.cli.bundle_work import Depot, archives, push_bundles, sign_again, use_newest
from inaetics.containers.registry import Registry
from inaetics.errors import Conflict, InvalidInput, Unavailable
from inaetics.tls import client_context
from tests.component.api.live import LiveFleet, live_fleet
from tests.support.bundles import bundle_folder
from tests.support.registry import RegistryServer, registry_server
from tests.support.signing import Signing, signing


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryServer]:
    with registry_server() as made:
        yield made


@pytest.fixture(scope="module")
def fleet(registry: RegistryServer) -> Iterator[LiveFleet]:
    with live_fleet(machines=1, archives=RegistryArchives([registry.address], registry.certificates)) as made:
        yield made


@pytest.fixture
def signer(fleet: LiveFleet, tmp_path: Path) -> Signing:
    """Somebody of the fleet's authority: its certificates are read anew for every signature."""
    made = signing(tmp_path / "signing")
    fleet.settings.tls.ca.write_text(fleet.settings.tls.ca.read_text() + made.anchors.read_text())
    return made


@pytest.fixture
def place(registry: RegistryServer, signer: Signing) -> Depot:
    return depot(registry, signer)


@pytest.fixture
def client(fleet: LiveFleet) -> Iterator[FleetClient]:
    with fleet.client() as made:
        yield made


def depot(registry: RegistryServer, signer: Signing) -> Depot:
    ca, cert, key = (registry.certificates / name for name in ("ca.crt", "client.cert", "client.key"))
    context: ssl.SSLContext = client_context(ca=ca, cert=cert, key=key, whose="the test's")
    return Depot(
        registries=("127.0.0.1:1", registry.address),
        context=context,
        certificate=signer.certificate,
        key=signer.key,
        anchors=signer.anchors,
    )


def test_a_folder_becomes_a_signed_archive_that_may_be_deployed(
    client: FleetClient, place: Depot, registry: RegistryServer, tmp_path: Path
) -> None:
    bundle_folder(tmp_path / "work", "clock", provides="time")
    bundle_folder(tmp_path / "work", "wall", requires="time")
    with archives([tmp_path / "work"]) as found:
        pushed = push_bundles(client, place, found, by="anna")
        assert [(each.artifact.manifest.key, each.unchanged) for each in pushed] == [
            ("clock-1.0.0", False),
            ("wall-1.0.0", False),
        ]
        assert all(each.unchanged for each in push_bundles(client, place, found, by="anna")), "again sends nothing"
    (clock,) = [each for each in bundles(client) if each.name == "clock"]
    assert (clock.by, clock.provides) == ("anna", ("time",))
    assert verify(clock.sha256, clock.signature, anchors=place.anchors) == "signer"
    with Registry(registry.address, registry.certificates) as looked:
        assert looked.tags(f"{REPOSITORY}clock") == ["1.0.0"]
    made = change(client, VersionRequest(text='[[rules]]\ntarget = "x"\ninstall = ["wall", "clock"]', by="anna"))
    assert [each.added for each in made.changes] == [("clock@1.0.0", "wall@1.0.0")], "providers first"


def test_another_archive_under_a_version_is_refused_before_anything_is_sent(
    client: FleetClient, place: Depot, registry: RegistryServer, tmp_path: Path
) -> None:
    folder = bundle_folder(tmp_path, "once")
    with archives([folder]) as found:
        push_bundles(client, place, found, by="anna")
        before = found[0].sha256
    (folder / "__init__.py").write_text("x = 1")
    with archives([folder]) as found:
        with pytest.raises(Conflict, match="raise the version"):
            push_bundles(client, place, found, by="anna")
        assert not place.registry().holds(f"{REPOSITORY}once", found[0].sha256)
        push_bundles(client, place, found, by="anna", replace=True)
        (now,) = [each for each in bundles(client) if each.name == "once"]
        assert now.sha256 == found[0].sha256 != before


def test_a_replaced_archive_is_a_version_that_says_who_and_going_back_brings_the_old_one(
    client: FleetClient, place: Depot, tmp_path: Path
) -> None:
    folder = bundle_folder(tmp_path, "steady")

    def push(by: str) -> tuple[str, bool]:
        with archives([folder]) as found:
            pushed = push_bundles(client, place, found, by=by, replace=True)
            return found[0].sha256, use_newest(client, pushed, by=by) is not None

    old, made = push("anna")
    assert not made, "nobody gets it yet"
    number = change(client, VersionRequest(text='[[rules]]\ninstall = ["steady"]', by="anna")).version
    (folder / "__init__.py").write_text("x = 1")
    new, made = push("berta")
    assert made
    assert push("berta") == (new, False), "pushing the same again changes nothing"
    now = version(client)
    assert (now.version, now.by, now.note) == (number + 1, "berta", "steady@1.0.0 replaced")
    assert (now.archives, version(client, number).archives) == ({"steady@1.0.0": new}, {"steady@1.0.0": old})
    change(client, VersionRequest(back_to=0, by="anna"))
    assert version(client).archives == {"steady@1.0.0": old}
    assert all(place.registry().holds(f"{REPOSITORY}steady", each) for each in (old, new)), "both can be fetched"
    assert {each.sha256 for each in provisioning_client.archives(client) if each.name == "steady"} == {old, new}


def test_foreign_and_missing_signatures_and_archives_are_refused(
    client: FleetClient, place: Depot, registry: RegistryServer, tmp_path: Path
) -> None:
    stranger = depot(registry, signing(tmp_path / "elsewhere"))
    folder = bundle_folder(tmp_path, "alien")
    with archives([folder]) as found:
        with pytest.raises(InvalidInput, match="whom this cluster does not know"):
            push_bundles(client, stranger, found, by="eve")
        made = push_bundles(client, place, found, by="anna")[0].artifact
    with pytest.raises(InvalidInput, match="not signed"):
        put_bundle(client, msgspec.structs.replace(made, signature=None))
    nowhere = msgspec.structs.replace(made, version="2.0.0", sha256="0" * 64, signature=place.sign("0" * 64))
    with pytest.raises(InvalidInput, match="is in no registry of the cluster"):
        put_bundle(client, nowhere)


def test_signatures_that_do_not_count_any_more_are_made_anew_without_the_archives(
    client: FleetClient, place: Depot, registry: RegistryServer, fleet: LiveFleet, tmp_path: Path
) -> None:
    with archives([bundle_folder(tmp_path, "elder")]) as found:
        push_bundles(client, place, found, by="anna")
    successor = signing(tmp_path / "successor")
    fleet.settings.tls.ca.write_text(fleet.settings.tls.ca.read_text() + successor.anchors.read_text())
    signed = sign_again(client, depot(registry, successor))
    assert "elder-1.0.0" in {each.manifest.key for each in signed}
    (elder,) = [each for each in bundles(client) if each.name == "elder"]
    assert verify(elder.sha256, elder.signature, anchors=successor.anchors) == "signer"
    assert sign_again(client, depot(registry, successor)) == []


def test_while_no_registry_answers_nothing_is_pushed_or_put_in_force(
    client: FleetClient, place: Depot, registry: RegistryServer, tmp_path: Path
) -> None:
    with archives([bundle_folder(tmp_path, "late")]) as found:
        push_bundles(client, place, found, by="anna")
    registry.kill()
    try:
        with pytest.raises(Unavailable, match=r"cannot be looked for.*nothing was changed"):
            change(client, VersionRequest(text='[[rules]]\ntarget = "y"\ninstall = ["late"]'))
        with archives([bundle_folder(tmp_path, "later")]) as found, pytest.raises(Unavailable, match="cannot push"):
            push_bundles(client, place, found, by="anna")
    finally:
        registry.start()
    change(client, VersionRequest(text='[[rules]]\ntarget = "y"\ninstall = ["late"]'))


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="there is no bundle in"), archives([tmp_path / "empty"]):
        pass
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InvalidInput, match=r"broken\.zip"), archives([broken]):
        pass
