"""A store that forms from the inventory alone: nobody is asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from inaetics.errors import Conflict
from inaetics.hosts.etcd_join import join
from inaetics.hosts.etcd_member import Settings

MEMBERS = "worker-1=https://127.17.8.101:2380,worker-2=https://127.17.8.102:2380"


def settings(state: Path, name: str) -> Settings:
    return Settings(
        name=name,
        address="127.17.8.101",
        cluster_id="c0ffee",
        size=2,
        discovery="",
        state=state,
        pki=state / "pki",
        members=MEMBERS,
    )


def test_members_are_those_of_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "etcd").mkdir()
    asyncio.run(join(settings(tmp_path, "worker-1")))
    assert json.loads((tmp_path / "etcd.yml").read_text())["initial-cluster"] == MEMBERS
    assert (tmp_path / "etcd" / "forming").exists()


def test_a_host_that_is_not_among_them_is_told_who_is(tmp_path: Path) -> None:
    (tmp_path / "etcd").mkdir()
    with pytest.raises(Conflict, match=r"worker-7 is not one of its members \(worker-1="):
        asyncio.run(join(settings(tmp_path, "worker-7")))
