"""[Container] units as services: Quadlet's keys, arguments that survive, errors at the line somebody wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.errors import UnitFileError
from inaetics.units.command import expand_variables
from inaetics.units.container import ContainerEngine, is_container, to_service
from inaetics.units.container_keys import KEYS, Form
from inaetics.units.grammar import Option, UnitFile, from_options, parse
from inaetics.units.names import parse_name
from inaetics.units.quoting import join
from inaetics.units.resources import NOTHING_SAID
from inaetics.units.service_spec import KillMode, NotifyAccess, ServiceSpec, ServiceType, service_spec
from tests.unit.units import strategies

FELIX = parse_name("felix@1.service")
PLAIN = parse_name("provisioning.service")
PODMAN = ContainerEngine(command=("podman", "--root", "/var/lib/a b"), publish_address="127.17.8.101")
DOCKER = ContainerEngine(command=("docker",), publish_address="127.17.8.101", kind="docker")
IMAGE = "${INAETICS_REGISTRY}/inaetics/felix-agent:latest"
ENVIRONMENT = {"INAETICS_REGISTRY": "127.17.8.2:5000", "INAETICS_ADDRESS": "127.17.8.101"}


def spec_of(
    lines: str, *, engine: ContainerEngine = PODMAN, name: str = "felix@1.service", service: str = ""
) -> ServiceSpec:
    unit = parse(f"[Container]\nImage={IMAGE}\n{lines}\n[Service]\n{service}\n")
    generated = to_service(unit, parse_name(name), engine)
    assert parse(str(generated)) == generated
    return service_spec(generated, parse_name(name))


def argv_of(lines: str, **others: str) -> tuple[str, ...]:
    """The engine's arguments after `run`, as they reach it, without those that are always there."""
    (command,) = spec_of(lines, **others).exec_start  # type: ignore[arg-type]
    argv = expand_variables(command.argv, ENVIRONMENT)
    return tuple(word for word in argv[argv.index("run") + 1 :] if word not in ALWAYS)


ALWAYS = {"--rm", "--replace", "-d", "--pull=never", "--log-driver=passthrough", "--sdnotify=conmon", "--name=felix-1"}
PULLED = "127.17.8.2:5000/inaetics/felix-agent:latest"


def test_which_units_are_containers() -> None:
    assert is_container(parse("[Container]\n"))
    assert not is_container(parse("[Service]\nExecStart=/bin/true\n[X-Container]\nImage=a\n"))


def test_the_service_of_a_container() -> None:
    spec = spec_of("", service="Restart=always")
    assert (spec.type, spec.notify_access, spec.kill_mode) == (ServiceType.NOTIFY, NotifyAccess.ALL, KillMode.MIXED)
    assert (spec.timeout_start_s, spec.timeout_stop_s) == (120, 90)
    clear, again, pull = spec.exec_start_pre
    podman = ("podman", "--root", "/var/lib/a b")
    assert clear == again
    assert clear.argv == (*podman, "rm", "-f", "-i", "-t", "0", "felix-1")
    assert pull.argv == (*podman, "pull", "--quiet", IMAGE)
    assert all(command.ignore_failure for command in spec.exec_start_pre)
    (run,) = spec.exec_start
    assert run.argv[:5] == (*podman, "run", "--name=felix-1")
    assert set(run.argv) >= ALWAYS
    assert run.argv[-1] == IMAGE
    assert [command.argv[3:] for command in spec.exec_stop] == [("rm", "-v", "-f", "-i", "felix-1")]
    assert [command.ignore_failure for command in spec.exec_stop_post] == [True]


def test_docker_stays_in_the_foreground() -> None:
    spec = spec_of("", engine=DOCKER)
    assert spec.type is ServiceType.EXEC
    (run,) = spec.exec_start
    assert run.argv == ("docker", "run", "--name=felix-1", "--rm", "--pull=never", IMAGE)
    assert [command.argv for command in spec.exec_stop] == [("docker", "stop", "felix-1")]


def test_the_engines_flags_are_literal_and_come_after_ours() -> None:
    engine = ContainerEngine(
        command=("podman", "--root=/100%/${INAETICS_REGISTRY}"),
        run_flags=("--log-driver=none", "50%"),
        pull_flags=("--cert-dir", "/a %i"),
    )
    spec = spec_of("", engine=engine)
    argv = expand_variables(spec.exec_start[0].argv, ENVIRONMENT)
    assert argv[:2] == ("podman", "--root=/100%/${INAETICS_REGISTRY}")
    assert argv.index("--log-driver=none") > argv.index("--log-driver=passthrough")
    assert "50%" in argv
    assert expand_variables(spec.exec_start_pre[-1].argv, ENVIRONMENT)[2:] == (
        "pull", "--quiet", "--cert-dir", "/a %i", PULLED,
    )  # fmt: skip


def test_an_engine_with_a_pull_command_of_its_own() -> None:
    spec = spec_of("", engine=ContainerEngine(command=("podman",), pull_command=("/a b/pull-image",)))
    assert spec.exec_start_pre[-1].argv == ("/a b/pull-image", IMAGE)
    assert not spec.exec_start_pre[-1].ignore_failure


ARGUMENTS = [
    ("Exec=a 'b c' \";\" ${INAETICS_ADDRESS}", ("IMAGE", "a", "b c", ";", "127.17.8.101")),
    ("Exec=a ; b", ("IMAGE", "a", ";", "b")),
    ("Exec=a\nExec=b", ("IMAGE", "b")),
    ('Environment=A=1 "B=x y"\nEnvironment=C=%i', ("--env=A=1", "--env=B=x y", "--env=C=1", "IMAGE")),
    ("Environment=A=1\nEnvironment=\nEnvironment=B=2", ("--env=B=2", "IMAGE")),
    ("Environment=A=${INAETICS_ADDRESS}:80", ("--env=A=127.17.8.101:80", "IMAGE")),
    ("EnvironmentFile=/etc/a b", ("--env-file=/etc/a b", "IMAGE")),
    ("PublishPort=8080:80", ("--publish=127.17.8.101:8080:80", "IMAGE")),
    ("PublishPort=80", ("--publish=127.17.8.101::80", "IMAGE")),
    ("PublishPort=80/udp", ("--publish=127.17.8.101::80/udp", "IMAGE")),
    ("PublishPort=0.0.0.0:8080:80", ("--publish=0.0.0.0:8080:80", "IMAGE")),
    ("PublishPort=10.0.0.1::80", ("--publish=10.0.0.1::80", "IMAGE")),
    ("PublishPort=[::1]:8080:80/tcp", ("--publish=[::1]:8080:80/tcp", "IMAGE")),
    ("PublishPort=8080-8090:80-90", ("--publish=127.17.8.101:8080-8090:80-90", "IMAGE")),
    ("PublishPort=808%i:80", ("--publish=127.17.8.101:8081:80", "IMAGE")),
    ("Volume=/srv/%p:/data:ro", ("--volume=/srv/felix:/data:ro", "IMAGE")),
    ("Volume=cache:/cache\nVolume=/tmp/x", ("--volume=cache:/cache", "--volume=/tmp/x", "IMAGE")),
    ("Volume=${INAETICS_STATE}/data:/data", ("--volume=/data:/data", "IMAGE")),
    ("Network=host", ("--network=host", "IMAGE")),
    ("HostName=felix-%i", ("--hostname=felix-1", "IMAGE")),
    ('EntryPoint=["/bin/sh", "-c"]', ('--entrypoint=["/bin/sh", "-c"]', "IMAGE")),
    ("WorkingDir=/srv\nUser=1000:1000", ("--workdir=/srv", "--user=1000:1000", "IMAGE")),
    ("AddCapability=NET_ADMIN SYS_TIME\nDropCapability=all",
     ("--cap-add=NET_ADMIN", "--cap-add=SYS_TIME", "--cap-drop=all", "IMAGE")),
    ("ReadOnly=yes\nRunInit=no\nNoNewPrivileges=yes",
     ("--security-opt=no-new-privileges", "--read-only", "--init=false", "IMAGE")),
    ("NoNewPrivileges=no", ("IMAGE",)),
    ("Tmpfs=/run\nTmpfs=/tmp:size=1M", ("--tmpfs=/run", "--tmpfs=/tmp:size=1M", "IMAGE")),
    ('Label="a=b c" d', ("--label=a=b c", "--label=d", "IMAGE")),
    ("PodmanArgs=--cpus 2 '--x=a b'\nPodmanArgs=--y", ("--cpus", "2", "--x=a b", "--y", "IMAGE")),
    ("StopTimeout=5", ("--stop-timeout=5", "IMAGE")),
    ("Notify=yes", ("--sdnotify=container", "IMAGE")),
    ("ContainerName=my-%p", ("--name=my-felix", "IMAGE")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "argv"), [pytest.param(*case, id=case[0].replace("\n", " | ")) for case in ARGUMENTS]
)
def test_keys_become_arguments(lines: str, argv: tuple[str, ...]) -> None:
    assert argv_of(lines) == tuple(PULLED if word == "IMAGE" else word for word in argv)


def test_every_key_is_read() -> None:
    """Each accepted key takes some value and, where it has a flag, becomes that flag."""
    samples = {"Pull": "never", "PublishPort": "80", "Image": "a", "Volume": "/a:/b", "EnvironmentFile": "/a"}
    for key in KEYS:
        if key.refused:
            continue
        value = samples.get(key.name) or {Form.YES: "yes", Form.ASSIGNMENTS: "A=1"}.get(key.form, "x")
        argv = argv_of(f"{key.name}={value}")
        assert key.flag is None or any(word.startswith(key.flag) for word in argv), key.name


def test_names_of_containers() -> None:
    for name, container in [("felix@1.service", "felix-1"), ("provisioning.service", "systemd-provisioning")]:
        (run,) = spec_of("", name=name).exec_start
        assert f"--name={container}" in run.argv


def test_global_arguments_come_before_run() -> None:
    (run,) = spec_of("GlobalArgs=--log-level debug").exec_start
    assert run.argv[3:6] == ("--log-level", "debug", "run")


@pytest.mark.parametrize(
    ("lines", "pulls"),
    [
        ("", True),
        ("Pull=always", True),
        ("Pull=never", False),
        ("Image=localhost/mine", False),
        ("Image=localhost:5000/mine", True),
    ],
)
def test_when_a_newer_image_is_looked_for(lines: str, pulls: bool) -> None:
    assert any("pull" in command.argv for command in spec_of(lines).exec_start_pre) is pulls


def test_what_people_set_in_the_service_counts() -> None:
    service = "TimeoutStartSec=300\nKillMode=control-group\nExecStartPre=/bin/mkdir /x\nType=notify"
    spec = spec_of("", service=service)
    assert spec.timeout_start_s == 300
    assert spec.kill_mode is KillMode.CONTROL_GROUP
    assert spec.exec_start_pre[0].argv == ("/bin/mkdir", "/x")
    assert spec_of("", service="TimeoutSec=7").timeout_start_s == 7


def test_nothing_of_the_original_is_lost() -> None:
    text = f"[Unit]\nDescription=a\n[Container]\nImage={IMAGE}\nLabel=x=y\n[X-Fleet]\nConflicts=b\n[Install]\nAlias=c\n"
    unit = parse(text)
    kept = to_service(unit, FELIX, PODMAN).options
    renamed = [("X-Container" if o.section == "Container" else o.section, o.name, o.value) for o in unit.options]
    assert [(o.section, o.name, o.value) for o in kept][: len(renamed)] == renamed


def test_errors_of_the_service_point_at_the_original() -> None:
    unit = parse(f"[Unit]\nDescription=a\n\n[Container]\nImage={IMAGE}\n\n# c\n[Service]\nRestartSec=soon\n")
    with pytest.raises(UnitFileError, match="no time span") as caught:
        service_spec(to_service(unit, FELIX, PODMAN), FELIX)
    assert caught.value.line == 9


REFUSED = [
    ("Imge=a", r"no key Imge= \(did you mean Image=\?\)"),
    ("Frobnicate=1", "no key Frobnicate=$"),
    ("Secret=a", "keeps no secrets"),
    ("HealthCmd=true", "health checks"),
    ("AutoUpdate=registry", "inaetics image update"),
    ("Notify=healthy", "health checks"),
    ("Notify=maybe", "neither yes nor no"),
    ("Pull=missing", "missing is refused"),
    ("Pull=sometimes", "no way to pull"),
    ("PublishPort=8080:http", "neither a port"),
    ("PublishPort=8080:80/icmp", "no port to publish"),
    ("PublishPort=0:80", "no port"),
    ("PublishPort=80:65536", "no port"),
    ("PublishPort=1:2:3:4", "no port to publish"),
    ("Network=a.network", "another unit"),
    ("Network=a b", "not one name"),
    ("Volume=./a:/b", "neither an absolute path"),
    ("Volume=a.volume:/b", "another unit"),
    ("Volume=/a:b", "no absolute path"),
    ("Volume=a", "no absolute path"),
    ("Image=a.image", "another unit"),
    ("Image=a b", "not one name"),
    ("Image=--privileged", "not one name"),
    ("ContainerName=a b", "not one name"),
    ("EnvironmentFile=-/a", "no absolute path"),
    ("Environment=A", "no assignment"),
    ("Exec='a", "not closed"),
    ("Label='a", "not closed"),
    ("HostName=%q", "unknown specifier"),
    ("ReadOnly=maybe", "neither yes nor no"),
    ("[Service]\nExecStart=/bin/true", "generated from"),
    ("[Service]\nType=oneshot", "generated from"),
    ("[Service]\nExecStrt=/bin/true", "did you mean ExecStart="),
    ("[Service]\nMemoryHigh=1G", "does not reach a container"),
    ("[Service]\nMemoryMax=50%", "knows no shares"),
    ("[Service]\nTasksMax=50%", "knows no shares"),
    ("[Service]\nMemorySwapMax=1G", "needs MemoryMax="),
    ("[Service]\nMemoryMax=much", "no size"),
    ("[Quadlet]\nDefaultDependencies=no", "unknown section"),
]


@pytest.mark.parametrize(("lines", "words"), [pytest.param(*case, id=case[0].replace("\n", " | ")) for case in REFUSED])
def test_refuses_with_the_line(lines: str, words: str) -> None:
    unit = parse(f"# c\n[Container]\nImage=a\n\n{lines}\n")
    with pytest.raises(UnitFileError, match=words) as caught:
        to_service(unit, FELIX, PODMAN)
    section = lines.startswith("[Service]")
    assert caught.value.line == (6 if section else 5)


@pytest.mark.parametrize(
    ("lines", "flags"),
    [
        ("MemoryMax=1G\nMemorySwapMax=1K", {"--memory=1073741824", "--memory-swap=1073742848"}),
        ("MemoryLimit=1M", {"--memory=1048576"}),
        ("CPUQuota=150%\nCPUWeight=50", {"--cpus=1.5", "--cpu-shares=512"}),
        ("TasksMax=7", {"--pids-limit=7"}),
        ("TasksMax=infinity", {"--pids-limit=-1"}),
        ("MemoryMax=1G\n[Container]\nMemory=2G", {"--memory=2G"}),
        ("TasksMax=7\n[Container]\nPidsLimit=8", {"--pids-limit=8"}),
    ],
)
def test_limits_of_the_service_reach_the_container_and_no_other_process(lines: str, flags: set[str]) -> None:
    service = to_service(parse(f"[Container]\nImage=a\n[Service]\n{lines}\n"), FELIX, PODMAN)
    spec = service_spec(service, FELIX)
    said = {word for word in spec.exec_start[0].argv if word.startswith(("--memory", "--cpu", "--pids"))}
    assert said == flags
    assert spec.resources == NOTHING_SAID


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[Container]\nExec=a\n", "no Image=", id="no image"),
        pytest.param("[Container]\nImage=a\nImage=\n", "no Image=", id="an image forgotten again"),
        pytest.param("[Container]\nImage=a\nNetwork=host\nPublishPort=80\n", "contradicts Network=host", id="no port"),
    ],
)
def test_refuses_what_cannot_run(text: str, words: str) -> None:
    with pytest.raises(UnitFileError, match=words):
        to_service(parse(text), FELIX, PODMAN)


def container_of(arguments: list[str], environment: dict[str, str]) -> UnitFile:
    def literal(word: str) -> str:
        return word.replace("%", "%%").replace("$", "$$")

    return from_options(
        [
            Option("Container", "Image", "the-image"),
            Option("Container", "Environment", join([f"{key}={literal(value)}" for key, value in environment.items()])),
            Option("Container", "Exec", join([literal(word) for word in arguments])),
        ]
    )


@given(
    arguments=st.lists(strategies.words, max_size=5),
    environment=st.dictionaries(st.sampled_from(["A", "B_2"]), strategies.words),
    root=strategies.text_without_nul,
)
def test_whatever_arguments_contain_they_arrive(arguments: list[str], environment: dict[str, str], root: str) -> None:
    engine = ContainerEngine(command=("podman", root))
    generated = to_service(container_of(arguments, environment), FELIX, engine)
    assert parse(str(generated)) == generated
    (run,) = service_spec(parse(str(generated)), FELIX).exec_start
    argv = expand_variables(run.argv, {"a": "wrong"})
    assert argv[:2] == ("podman", root)
    assert argv[argv.index("the-image") + 1 :] == tuple(arguments)
    assert [word for word in argv[: argv.index("the-image")] if word.startswith("--env=")] == [
        f"--env={key}={value}" for key, value in environment.items()
    ]
