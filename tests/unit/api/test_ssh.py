"""How ssh is called for a tunnel, and what its words become."""

from __future__ import annotations

import ast
import itertools
import os
import socket
from pathlib import Path

import pytest

from inaetics.api import far_end
from inaetics.api.ssh import SshHost, SshOptions, host_of, trouble
from inaetics.errors import Forbidden, InaeticsError, InvalidInput, Unavailable
from inaetics.hosts import paths

NOTHING = SshOptions()


@pytest.mark.parametrize(
    ("text", "name", "port", "user"),
    [
        pytest.param("gate", "gate", None, None, id="a-name"),
        pytest.param("10.0.0.1:2222", "10.0.0.1", 2222, None, id="a-port"),
        pytest.param("me@gate", "gate", None, "me", id="a-user"),
        pytest.param("me@corp@gate:22", "gate", 22, "me@corp", id="a-user-with-a-domain"),
        pytest.param("fe80::1", "fe80::1", None, None, id="ipv6"),
        pytest.param("me@[fe80::1]:2222", "fe80::1", 2222, "me", id="ipv6-and-a-port"),
        pytest.param("ssh://me@gate:22/", "gate", 22, "me", id="a-url"),
    ],
)
def test_a_tunnel_is_read(text: str, name: str, port: int | None, user: str | None) -> None:
    host = host_of(text, NOTHING, asking=False)
    assert (host.name, host.port, host.options.user) == (name, port, user)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("-oProxyCommand=x", "names no host", id="an-option"),
        pytest.param("a b", "names no host", id="a-blank"),
        pytest.param("$(x)", "names no host", id="a-shells-word"),
        pytest.param(":22", "names no host", id="only-a-port"),
        pytest.param("@gate", "names nobody", id="nobody"),
        pytest.param("-l@gate", "names nobody", id="an-option-for-a-user"),
        pytest.param("gate:", "'' is no port", id="no-port"),
        pytest.param("gate:70000", "'70000' is no port", id="a-large-port"),
        pytest.param("gate:²", "'²' is no port", id="a-strange-digit"),
    ],
)
def test_what_names_no_machine_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words.replace("(", r"\(")):
        host_of(text, NOTHING, asking=False)


def test_two_users_are_refused() -> None:
    with pytest.raises(InvalidInput, match="give one name"):
        host_of("me@gate", SshOptions(user="you"), asking=False)
    assert host_of("me@gate", SshOptions(user="me"), asking=False).options.user == "me"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(SshOptions(), [], id="nothing"),
        pytest.param(SshOptions(user="core"), ["-l", "core"], id="user"),
        pytest.param(SshOptions(timeout_s=0.5), ["-o", "ConnectTimeout=1"], id="a-part-of-a-second"),
        pytest.param(SshOptions(strict=True), ["-o", "StrictHostKeyChecking=yes"], id="strict"),
        pytest.param(SshOptions(strict=False), ["-o", "StrictHostKeyChecking=no"], id="not-strict"),
        pytest.param(SshOptions(known_hosts=Path("/k")), ["-o", "UserKnownHostsFile=/k"], id="known-hosts"),
        pytest.param(SshOptions(known_hosts=Path("/a b/%k")), ["-o", 'UserKnownHostsFile="/a b/%%k"'], id="a-blank"),
    ],
)
def test_the_originals_options_are_sshs(options: SshOptions, words: list[str]) -> None:
    assert options.words() == words


def option(command: list[str], name: str) -> list[str]:
    values = [after for before, after in itertools.pairwise(command) if before == "-o"]
    return [value.partition("=")[2] for value in values if value.startswith(f"{name}=")]


def test_nobody_is_asked_where_nobody_sits_and_every_wait_has_an_end() -> None:
    command = SshHost(name="gate").command("true")
    assert (option(command, "BatchMode"), option(command, "ConnectTimeout")) == (["yes"], ["10"])
    assert (option(command, "ServerAliveInterval"), option(command, "ServerAliveCountMax")) == (["10"], ["3"])
    assert option(SshHost(name="gate", asking=True).command("true"), "BatchMode") == []


def test_what_the_configuration_says_for_people_is_not_for_programs() -> None:
    command = SshHost(name="gate", port=22).command("true")
    assert command[-3:] == ["-T", "gate", "true"]
    assert (option(command, "RemoteCommand"), option(command, "ClearAllForwardings")) == (["none"], ["yes"])
    assert option(command, "ControlMaster") == ["no"]
    assert command[command.index("-p") + 1] == "22"


def test_a_machine_behind_is_reached_with_the_same_options() -> None:
    host = SshHost(name="gate", port=2222, options=SshOptions(user="me", known_hosts=Path("/a b")))
    [proxy] = option(host.proxy(), "ProxyCommand")
    assert proxy.startswith("ssh -l me -o 'UserKnownHostsFile=\"/a b\"' ")
    assert " -p 2222 -o ClearAllForwardings=yes " in proxy
    assert proxy.endswith(" -W [%h]:%p gate")


@pytest.mark.parametrize(
    ("words", "status", "kind", "said"),
    [
        pytest.param(
            "ssh: connect to host x port 22: Connection refused", 255, Unavailable, "does sshd run", id="port"
        ),
        pytest.param(
            "ssh: Could not resolve hostname gat: Name or service not known",
            255,
            Unavailable,
            "~/.ssh/config",
            id="name",
        ),
        pytest.param("bash: line 1: python3: command not found", 127, Unavailable, "no python3", id="python"),
        pytest.param(
            "x@y: Permission denied (publickey).\r\n", 255, Forbidden, "ssh-copy-id -p 2222 me@gate", id="key"
        ),
        pytest.param(
            "@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@\nHost key verification failed.\r\n",
            255,
            Forbidden,
            "ssh-keygen -R",
            id="another-machine",
        ),
        pytest.param(
            "channel 0: open failed: connect failed: Connection refused", 255, Unavailable, "as gate sees it", id="far"
        ),
        pytest.param("", None, Unavailable, "no answer in time", id="silence"),
        pytest.param("", -9, Unavailable, "signal 9", id="killed"),
        pytest.param(
            "what else?", 255, Unavailable, "what else? (does 'ssh -p 2222 me@gate' work?)", id="something-else"
        ),
    ],
)
def test_sshs_words_become_the_error_they_mean(
    words: str, status: int | None, kind: type[InaeticsError], said: str
) -> None:
    error = trouble(SshHost(name="gate", port=2222, options=SshOptions(user="me")), words, status)
    assert type(error) is kind
    assert said in str(error)
    assert "\n" not in str(error)


def test_the_far_end_runs_on_an_older_python_that_does_not_know_us() -> None:
    tree = ast.parse(Path(far_end.__file__).read_text(), feature_version=(3, 7))
    modules = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules <= {"__future__", *(name for name in os.sys.stdlib_module_names)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("runtime", ["given", "not given"])
def test_the_far_end_looks_where_clusters_keep_their_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    """As somebody who is not root, whose directories can be chosen."""
    if runtime == "given":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    else:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own or 54321)
    assert str(paths.run_root()) in far_end._run_roots()
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert far_end._run_roots() == [str(paths.run_root())]


def test_sockets_are_found_in_the_order_of_their_hosts_and_only_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far_end, "_run_roots", lambda: [str(tmp_path), str(tmp_path / "none")])
    monkeypatch.setattr(paths, "run_root", lambda: tmp_path)
    for host in ("worker-10", "worker-2"):
        (tmp_path / "demo" / host).mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / "demo" / host / "fleet.sock"))
    found = far_end.sockets("demo")
    assert found == [str(path) for path in paths.fleet_sockets("demo")]
    assert len(found) == 2
    (tmp_path / "demo" / "worker-1").mkdir()
    (tmp_path / "demo" / "worker-1" / "fleet.sock").write_text("no socket")
    assert far_end.sockets("demo") == found
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert far_end.sockets("demo") == [], "another's"
