from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from inaetics.errors import InvalidInput
from inaetics.store.endpoints import Tls, read_credentials, resolve
from inaetics.store.etcd import connect


@pytest.mark.parametrize(
    ("endpoint", "tls", "address"),
    [
        ("https://127.17.8.101:2379", True, "127.17.8.101:2379"),
        ("http://127.17.8.2:4001", False, "127.17.8.2:4001"),
        ("https://127.17.8.101", True, "127.17.8.101:2379"),
        ("http://localhost:2379", False, "127.0.0.1:2379"),
    ],
)
def test_an_endpoint_names_a_host_and_a_port(endpoint: str, tls: bool, address: str) -> None:
    assert asyncio.run(resolve([endpoint], tls=tls)) == (address,)


@pytest.mark.parametrize(
    ("endpoints", "tls", "says"),
    [
        ([], True, "no endpoint"),
        (["127.17.8.101:2379"], True, "https://HOST:PORT"),
        (["https://"], True, "https://HOST:PORT"),
        (["https://host:port"], True, "host:port"),
        (["http://127.17.8.101:2379"], True, "goes without certificates"),
        (["https://127.17.8.101:2379"], False, "needs CA"),
    ],
)
def test_a_malformed_endpoint_is_refused(endpoints: list[str], tls: bool, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        asyncio.run(resolve(endpoints, tls=tls))


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("")
    with pytest.raises(InvalidInput, match=r"agent\.pem cannot be read: No such file"):
        read_credentials(Tls(ca=ca, cert=tmp_path / "agent.pem", key=tmp_path / "agent.key"))


def test_connecting_waits_for_nobody() -> None:
    async def main() -> None:
        async with connect(["http://127.0.0.1:1"]):
            pass

    asyncio.run(main())


def test_importing_the_store_does_not_load_its_library() -> None:
    """It costs more memory than the rest of an agent: who only talks about the store must not pay for it."""
    heavy = "{'google.protobuf', 'inaetics.store.http2'}"
    code = f"import sys, inaetics.store.etcd, inaetics.store.fake; sys.exit(len({heavy} & {{*sys.modules}}))"
    subprocess.run([sys.executable, "-c", code], check=True)
