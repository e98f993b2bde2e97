"""Least rights over a real etcd, with each certificate there is: what it may do, and what it may not."""

from __future__ import annotations

import asyncio
import http.client
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.fleet.model import MachineId
from inaetics.hosts import pki
from inaetics.hosts.rights import is_ours, rights_of
from inaetics.ports import ETCD_PORT
from inaetics.store.etcd import connect
from inaetics.store.protocol import Relisted
from inaetics.store.rights import Right, Rights, ensure_rights
from tests.component.hosts.member import Member, member

FLEET = "/_coreos.com/fleet/"
WANTED = rights_of({"worker-1": MachineId("w1"), "worker-10": MachineId("w10")})


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with member(tmp_path_factory.mktemp("etcd")) as running:
        assert _ensure(running, WANTED) > 0
        yield running


def _ensure(etcd: Member, wanted: Rights) -> int:
    return asyncio.run(ensure_rights([etcd.endpoint], wanted, tls=etcd.tls("operator"), ours=is_ours))


ALLOWED = [
    ("agent", "put", f"{FLEET}machines/w1"),
    ("agent", "put", f"{FLEET}states/w1/a.service"),
    ("agent", "delete", f"{FLEET}states/w1/"),
    ("agent", "list", FLEET),
    ("agent", "list", f"{FLEET}placements/w1/"),
    ("agent", "watch", f"{FLEET}placements/w1/"),
    ("api", "put", f"{FLEET}units/a.service"),
    ("api", "put", f"{FLEET}placements/w10/a.service"),
    ("api", "put", f"{FLEET}engine/1"),
    ("api", "put", "/inaetics/provisioning/mapping"),
    ("api", "watch", FLEET),
    ("node", "put", "/inaetics/discovery/a/b"),
    ("node", "delete", "/inaetics/discovery/a/"),
    ("node", "put", "/inaetics/node-provisioning-service/a"),
    ("node", "watch", "/inaetics/provisioning/mapping"),
    ("operator", "put", "/anywhere"),
    ("operator", "list", ""),
]

FORBIDDEN = [
    ("agent", "put", f"{FLEET}machines/w10"),
    ("agent", "put", f"{FLEET}machines/w1/"),
    ("agent", "delete", f"{FLEET}machines/w1"[:-1]),
    ("agent", "put", f"{FLEET}states/w10/a.service"),
    ("agent", "put", f"{FLEET}states/w1"),
    ("agent", "delete", f"{FLEET}states/w1"),
    ("agent", "delete", f"{FLEET}states/"),
    ("agent", "put", f"{FLEET}placements/w1/a.service"),
    ("agent", "put", f"{FLEET}units/a.service"),
    ("agent", "put", f"{FLEET}engine/1"),
    ("agent", "put", "/inaetics/discovery/a/b"),
    ("agent", "list", "/inaetics/"),
    ("agent", "list", ""),
    ("api", "put", "/anywhere"),
    ("api", "list", ""),
    ("node", "put", "/inaetics/provisioning/mapping"),
    ("node", "list", FLEET),
    ("node", "list", "/inaetics/control/token"),
    ("agent", "list", "/inaetics/control/token"),
    ("node", "watch", FLEET),
    ("node", "put", f"{FLEET}units/a.service"),
    ("etcd", "list", FLEET),
    ("registry-client", "list", FLEET),
]


def _name(case: tuple[str, str, str]) -> str:
    who, action, key = case
    return f"{who} {action} {key.removeprefix(FLEET) or 'all'}"


@pytest.mark.parametrize("case", ALLOWED, ids=_name)
def test_allowed(etcd: Member, case: tuple[str, str, str]) -> None:
    asyncio.run(_act(etcd, *case))


@pytest.mark.parametrize("case", FORBIDDEN, ids=_name)
def test_forbidden(etcd: Member, case: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidInput, match="has no right to that"):
        asyncio.run(_act(etcd, *case))


async def _act(etcd: Member, who: str, action: str, key: str, *, timeout_s: float = 15) -> None:
    async with connect([etcd.endpoint], tls=etcd.tls(who), timeout_s=timeout_s) as store:
        match action:
            case "put":
                await store.put(key, b"1")
            case "delete":
                await store.delete(key, prefix=True)
            case "list":
                await store.list(key)
            case _:
                async for event in store.watch(key):
                    if isinstance(event, Relisted):
                        return


def test_the_refusal_names_the_certificate(etcd: Member) -> None:
    with pytest.raises(
        InvalidInput, match=r"cannot put '/_coreos.com/fleet/units/x': the certificate 'agent-worker-1'"
    ):
        asyncio.run(_act(etcd, "agent", "put", f"{FLEET}units/x"))


def test_a_person_who_may_only_read_the_api_does_not_reach_the_store(etcd: Member) -> None:
    certificate, key = pki.issue_reader(etcd.paths, "demo", "wall")
    shutil.copy(certificate, etcd.pki / "wall.pem")
    shutil.copy(key, etcd.pki / "wall.key")
    with pytest.raises(Unavailable):
        asyncio.run(_act(etcd, "wall", "list", "", timeout_s=2))


@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/auth/enable", "/v3beta/kv/range", "/v2/keys"])
def test_there_is_no_way_around_by_plain_http(etcd: Member, path: str) -> None:
    tls = etcd.tls("operator")
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.cert, tls.key)
    connection = http.client.HTTPSConnection(etcd.host.address, ETCD_PORT, timeout=5, context=context)
    try:
        connection.request("POST", path, b'{"key":"AA==","range_end":"AA=="}')
        assert connection.getresponse().status == 404
    finally:
        connection.close()


def test_leases_and_elections_work_under_rights(etcd: Member) -> None:
    async def main() -> None:
        async with (
            connect([etcd.endpoint], tls=etcd.tls("agent")) as agent,
            connect([etcd.endpoint], tls=etcd.tls("api")) as api,
            agent.lease(5) as lease,
            api.lead(f"{FLEET}office", "worker-1", ttl_s=5),
        ):
            await agent.put(f"{FLEET}machines/w1", b"here", lease=lease.id)
            assert await agent.leader(f"{FLEET}office") == "worker-1"
        async with connect([etcd.endpoint], tls=etcd.tls("api")) as api:
            assert await api.get(f"{FLEET}machines/w1") is None

    asyncio.run(main())


def test_a_second_time_changes_nothing(etcd: Member) -> None:
    assert _ensure(etcd, WANTED) == 0


def test_what_was_granted_beside_is_taken_back_and_removed_hosts_are_forgotten(etcd: Member) -> None:
    agent = "agent-worker-1"
    wider = {**WANTED.roles, agent: (*WANTED.roles[agent], Right(where="/", write=True)), "agent-worker-99": ()}
    users = {**WANTED.users, "agent-worker-99": "agent-worker-99"}
    assert _ensure(etcd, Rights(roles=wider, users=users)) == 4
    asyncio.run(_act(etcd, "agent", "put", "/anywhere"))
    assert _ensure(etcd, WANTED) == 3
    with pytest.raises(InvalidInput):
        asyncio.run(_act(etcd, "agent", "put", "/anywhere"))


def test_only_root_sets_rights(etcd: Member) -> None:
    with pytest.raises(InvalidInput, match="'api' has no right"):
        asyncio.run(ensure_rights([etcd.endpoint], WANTED, tls=etcd.tls("api"), ours=is_ours))


def test_who_works_meanwhile_does_not_notice(tmp_path: Path) -> None:
    """Requests under way while users change are refused by etcd as coming too late; they are sent again."""

    async def main(etcd: Member) -> None:
        failures: list[InaeticsError] = []
        done = asyncio.Event()

        async def work(number: int) -> None:
            async with connect([etcd.endpoint], tls=etcd.tls("agent")) as store:
                while not done.is_set():
                    try:
                        await store.put(f"{FLEET}states/w1/{number}", b"1")
                        await store.list(f"{FLEET}placements/w1/")
                    except InaeticsError as error:
                        failures.append(error)

        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(work(number), name=f"work {number}")
            for count in (2, 30, 5):
                machines = {f"worker-{n}": MachineId(f"w{n}") for n in range(1, count)}
                root = etcd.tls("operator")
                await ensure_rights([etcd.endpoint], rights_of(machines), tls=root, ours=is_ours)
            done.set()
        assert failures == []

    with member(tmp_path) as etcd:
        asyncio.run(main(etcd))
