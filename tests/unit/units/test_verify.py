"""What the fleet takes: the check behind `fleetctl verify` and every submit."""

from __future__ import annotations

import pytest

from inaetics.errors import UnitFileError
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.verify import verify

SERVICE = "[Service]\nExecStart=/bin/true\n"
CONTAINER = "[Container]\nImage=a\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("a.service", SERVICE, id="a service"),
        pytest.param("a.service", CONTAINER, id="a container"),
        pytest.param("a@.service", "[Service]\nExecStart=/bin/x %i\n", id="a template"),
        pytest.param("a@.service", SERVICE + "[X-Fleet]\nMachineOf=b@%i.service\n", id="a template tied to another"),
        pytest.param("a@.service", "[Unit]\nAfter=b@%i.service\n" + SERVICE, id="a template after another"),
        pytest.param("a@.service", CONTAINER + "PublishPort=808%i:80\n", id="a template with a port"),
        pytest.param("a@1.service", SERVICE + "[X-Fleet]\nConflicts=a@*.service\n", id="no two on one machine"),
        pytest.param(
            "a.service", SERVICE + "[X-Fleet]\nGlobal=true\nMachineMetadata=a=b\n", id="everywhere it matches"
        ),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nGlobal=no\nMachineID=abc\n", id="not everywhere"),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nGlobal=yes\nConflicts=b*\n", id="everywhere without a rival"),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nMachineOf=b.service c.service\n", id="tied to two others"),
    ],
)
def test_takes(name: str, text: str) -> None:
    verify(parse(text), parse_name(name))


@pytest.mark.parametrize(
    ("name", "text", "line", "words"),
    [
        pytest.param("a.timer", "[Timer]\n", None, "let a service run and sleep", id="a timer"),
        pytest.param("a.socket", "[Socket]\n", None, "let the service listen itself", id="a socket"),
        pytest.param("a@.path", "[Path]\n", None, "let the service watch them itself", id="a path"),
        pytest.param("a.target", "[Unit]\n", None, "Wants= or Requires=", id="a target"),
        pytest.param(
            "a.service", SERVICE + "StandardInputData=é\n", 3, "'é' is no Base64", id="data that is no Base64"
        ),
        pytest.param("a.service", "", None, "nothing to run", id="nothing in it"),
        pytest.param("a.service", SERVICE + "Frobnicate=1\n", 3, r"\[Service\] Frobnicate=", id="unknown directive"),
        pytest.param("a.service", SERVICE + "RestartSec=soon\n", 3, "no time span", id="a bad value"),
        pytest.param("a.service", CONTAINER + "Imge=1\n", 3, "did you mean Image=", id="unknown key of a container"),
        pytest.param("a.service", CONTAINER + "[Service]\nUMask=x\n", 4, "no octal mode", id="a container's service"),
        pytest.param(
            "a.service", SERVICE + "[X-Fleet]\nConflict=a\n", 4, "did you mean Conflicts=", id="unknown option"
        ),
        pytest.param("a@.service", SERVICE + "WorkingDirectory=%q\n", 3, "unknown specifier", id="unknown specifier"),
        pytest.param("a.service", SERVICE + "[Foo]\nA=1\n", 3, r"unknown section \[Foo\]", id="unknown section"),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nMachineOf=a.service\n", 4, "itself", id="tied to itself"),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nConflicts=a.service\n", 4, "itself", id="its own rival"),
        pytest.param("a.service", SERVICE + "[X-Fleet]\nReplaces=a.service\n", 4, "itself", id="replaces itself"),
        pytest.param(
            "a.service",
            SERVICE + "[X-Fleet]\nMachineOf=b.service\nConflicts=b*\n",
            5,
            r"Conflicts=b\* contradicts MachineOf=b.service",
            id="a rival it is tied to",
        ),
        pytest.param(
            "a@1.service",
            SERVICE + "[X-Fleet]\nMachineOf=b.service\nReplaces=b*\n",
            5,
            r"Replaces=b\* contradicts MachineOf=b.service",
            id="replaces what it is tied to",
        ),
        pytest.param(
            "a.service", SERVICE + "[X-Fleet]\nSpreadBy=zone\n", 4, "a.service is none", id="a spread of one unit"
        ),
        pytest.param(
            "a@.service",
            SERVICE + "[X-Fleet]\nSpreadBy=zone\nGlobal=yes\n",
            4,
            "SpreadBy= contradicts Global=yes",
            id="a spread of what is everywhere",
        ),
        pytest.param(
            "a@.service", SERVICE + "[X-Fleet]\nMachineOf=a@%i\n", 4, "itself", id="instances tied to themselves"
        ),
        pytest.param(
            "a.service",
            SERVICE + "[X-Fleet]\nMachineOf=b.service\nMachineID=abc\n",
            4,
            "MachineOf= contradicts MachineID=",
            id="two places",
        ),
        *(
            pytest.param(
                "a.service",
                SERVICE + f"[X-Fleet]\nGlobal=yes\n{option}=b.service\n",
                5,
                f"{option}= contradicts Global=yes",
                id=f"everywhere, with {option}",
            )
            for option in ("MachineID", "MachineOf", "X-ConditionMachineOf", "Replaces")
        ),
    ],
)
def test_refuses(name: str, text: str, line: int | None, words: str) -> None:
    with pytest.raises(UnitFileError, match=words) as caught:
        verify(parse(text, source=name), parse_name(name))
    assert caught.value.line == line
    assert str(caught.value).startswith(name)
