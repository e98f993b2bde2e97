"""What is read from /proc: listeners, mounts, and which processes are a host's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from inaetics.errors import Conflict
from inaetics.hosts.boot import refuse_taken_addresses
from inaetics.hosts.cluster import Host, Role
from inaetics.hosts.mounts import Mount, below, foreign
from inaetics.hosts.paths import HostPaths
from inaetics.hosts.ports import holder, in_use, parse
from inaetics.hosts.processes import KEEPER, Process, of_hosts, supervisors

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0000 100 0\n"


@pytest.mark.parametrize(
    ("local", "address", "port"),
    [
        ("6508117F:094B", "127.17.8.101", 2379),
        ("00000000:1388", "0.0.0.0", 5000),
        ("00000000000000000000000000000000:1F90", "::", 8080),
        ("0000000000000000FFFF00006508117F:1F90", "127.17.8.101", 8080),
    ],
    ids=["address", "any", "any of IPv6", "IPv4 in IPv6"],
)
def test_a_listener_is_read(local: str, address: str, port: int) -> None:
    (found,) = parse(HEADER + ROW.format(local=local, state="0A", inode=77))
    assert (found.address, found.port, found.inode) == (address, port, 77)


def test_a_connection_is_no_listener() -> None:
    assert parse(HEADER + ROW.format(local="6508117F:094B", state="01", inode=77)) == []


@pytest.mark.parametrize(
    ("listens_on", "blocked"), [("0.0.0.0", True), ("127.17.8.101", True), ("127.17.8.102", False)]
)
def test_an_address_is_taken_by_itself_or_by_any(listens_on: str, blocked: bool) -> None:
    table = parse(HEADER + ROW.format(local=_hex(listens_on, 2379), state="0A", inode=77))
    found = in_use([("127.17.8.101", 2379)], table)
    assert [(address, port, each.inode) for address, port, each in found] == [("127.17.8.101", 2379, 77)] * blocked


def _hex(address: str, port: int) -> str:
    return f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"


def test_who_listens_is_named() -> None:
    host = Host(name="worker-1", role=Role.WORKER, address=f"127.{30 + os.getpid() % 200}.77.101")
    with socket.socket() as mine:
        mine.bind((host.address, host.ports[0]))
        mine.listen()
        with pytest.raises(Conflict, match=rf"{host.address}:{host.ports[0]} by process {os.getpid()} \("):
            refuse_taken_addresses([host])
    refuse_taken_addresses([host])


def test_another_users_socket_still_gets_an_answer() -> None:
    assert "sudo ss" in holder(0)


MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
90 22 254:0 /s/c/hosts/w/containers/overlay /s/c/hosts/w/containers/overlay rw - ext4 /dev/root rw
91 90 0:50 / /s/c/hosts/w/containers/overlay/x\\040y/merged rw - overlay overlay rw
92 22 0:51 / /s/c/hosts/w/data rw - ext4 /dev/sdb rw
93 22 0:52 / /s/cc rw - tmpfs tmpfs rw
"""


def test_mounts_below_a_directory_come_last_mounted_first() -> None:
    found = [str(each.point) for each in below([Path("/s/c")], MOUNTINFO)]
    assert found == [
        "/s/c/hosts/w/data",
        "/s/c/hosts/w/containers/overlay/x y/merged",
        "/s/c/hosts/w/containers/overlay",
    ]


def test_a_persons_mount_is_told_from_an_engines() -> None:
    assert foreign(below([Path("/s/c")], MOUNTINFO)) == [Mount(point=Path("/s/c/hosts/w/data"), kind="ext4")]


HOST = HostPaths(name="w", state=Path("/s/c/hosts/w"), run=Path("/run/i/c/w"))
OURS = f"INAETICS_SUPERVISED={HOST.marker}"


def process(pid: int, parent: int, *arguments: str, marks: tuple[str, ...] = ()) -> Process:
    return Process(pid=pid, parent=parent, started=pid, arguments=arguments or ("x",), markers=frozenset(marks))


RUNNING = {
    each.pid: each
    for each in (
        process(11, 1, "python", "-m", "inaetics.supervisor", marks=(OURS,)),
        process(12, 11, "etcd", marks=(OURS,)),
        process(13, 1, "sh", "-c", "loop", KEEPER, marks=(OURS,)),
        process(20, 1, "/usr/bin/conmon", "-b", "/s/c/hosts/w/containers/overlay-containers/1/userdata"),
        process(21, 20, "python3"),
        process(30, 1, "/usr/bin/conmon", "-b", "/s/c/hosts/w2/containers/overlay-containers/1/userdata"),
        process(40, 1, "vi", "/s/c/hosts/w/containers/notes"),
        process(50, 1, "bash", marks=(f"INAETICS_SHELL={HOST.marker}",)),
        process(60, 1, "etcd", marks=("INAETICS_SUPERVISED=/s/c:w2",)),
    )
}


def test_a_power_cut_takes_all_of_the_host_keeper_first_and_nothing_else() -> None:
    assert [each.pid for each in of_hosts([HOST], RUNNING)] == [13, 11, 12, 20, 21, 50]


def test_a_persons_shell_does_not_keep_a_host_alive() -> None:
    assert 50 not in {each.pid for each in of_hosts([HOST], RUNNING, shells=False)}


def test_an_orphan_of_a_killed_process_stays_the_hosts() -> None:
    orphan = process(21, 1, "python3")
    assert [each.pid for each in of_hosts([HOST], {21: orphan}, known=[RUNNING[21]])] == [21]


def test_a_later_process_of_the_same_number_is_somebody_else() -> None:
    later = Process(pid=21, parent=1, started=999, arguments=("python3",), markers=frozenset())
    assert of_hosts([HOST], {21: later}, known=[RUNNING[21]]) == []


def test_who_asks_is_spared() -> None:
    running = {os.getpid(): process(os.getpid(), 50, "inaetics", marks=(OURS,)), 50: RUNNING[50]}
    assert of_hosts([HOST], running) == []


def test_the_supervisor_and_its_keeper_are_known() -> None:
    assert {each.pid for each in supervisors(HOST, RUNNING)} == {11, 13}
