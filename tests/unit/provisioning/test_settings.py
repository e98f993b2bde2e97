"""The environment of an agent: every variable that is missing or wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.errors import InvalidInput
from inaetics.provisioning.framework import shell_address
from inaetics.provisioning.settings import read_settings

GOOD = {
    "INAETICS_AGENT": "felix@1",
    "INAETICS_ADDRESS": "127.17.8.101",
    "INAETICS_HOST": "worker-1",
    "INAETICS_ETCD_ENDPOINTS": "http://127.17.8.101:2379,http://127.17.8.102:2379",
    "INAETICS_TLS_DIR": "/tls",
}


def test_variables_become_settings() -> None:
    settings = read_settings(GOOD | {"INAETICS_PAGE_PORT": "8081", "INAETICS_SHELL_PORT": "2020"})
    assert (settings.agent, settings.host, settings.page_port, settings.shell_port) == (
        "felix@1",
        "worker-1",
        8081,
        2020,
    )
    assert settings.etcd_endpoints == ("http://127.17.8.101:2379", "http://127.17.8.102:2379")
    assert settings.debug_port is None
    assert settings.data == Path("/var/lib/inaetics/felix@1")
    assert settings.etcd_tls is None


def test_https_takes_the_certificates() -> None:
    tls = read_settings(GOOD | {"INAETICS_ETCD_ENDPOINTS": "https://127.17.8.101:2379"}).etcd_tls
    assert tls is not None
    assert tls.cert == Path("/tls/cert.pem")


def test_properties_for_bundles() -> None:
    assert read_settings(GOOD).properties == {}
    said = "inaetics.producer.mode=burst  my-app.colour=a=b\n"
    assert read_settings(GOOD | {"INAETICS_PROPERTIES": said}).properties == {
        "inaetics.producer.mode": "burst",
        "my-app.colour": "a=b",
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"INAETICS_PROPERTIES": "mode=burst"}, "'mode=burst': it is name=value", id="no such name"),
        pytest.param({"INAETICS_PROPERTIES": "a.b=1 a.c"}, "'a.c': it is name=value", id="a name without a value"),
        pytest.param({"INAETICS_PROPERTIES": "a.b="}, "'a.b=': it is name=value", id="nothing as a value"),
        pytest.param({"INAETICS_PROPERTIES": "a.b=1 a.b=2"}, "a.b is twice: '1' and '2'", id="a name twice"),
        pytest.param({"INAETICS_AGENT": ""}, "INAETICS_AGENT is not set", id="no target"),
        pytest.param({"INAETICS_AGENT": "../x"}, "INAETICS_AGENT is '../x'", id="a target that is a path"),
        pytest.param({"INAETICS_ADDRESS": ""}, "INAETICS_ADDRESS is not set", id="no address"),
        pytest.param({"INAETICS_ADDRESS": "worker-1"}, "INAETICS_ADDRESS is 'worker-1'", id="a name for an address"),
        pytest.param({"INAETICS_ETCD_ENDPOINTS": ""}, "INAETICS_ETCD_ENDPOINTS is not set", id="no etcd"),
        pytest.param({"INAETICS_PAGE_PORT": "http"}, "INAETICS_PAGE_PORT is 'http'", id="a port that is none"),
        pytest.param({"INAETICS_SHELL_PORT": "70000"}, "INAETICS_SHELL_PORT is '70000'", id="a port too high"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        read_settings(GOOD | changes)


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        pytest.param("127.17.8.101", "127.17.8.101", id="a local host's own address"),
        pytest.param("192.168.1.10", "127.0.0.1", id="never on the network"),
        pytest.param("0.0.0.0", "127.0.0.1", id="never everywhere"),
    ],
)
def test_shell_listens_on_loopback_only(address: str, bound: str) -> None:
    assert shell_address(address) == bound
