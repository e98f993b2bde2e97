"""Whatever a unit file says, what refuses it is an error of ours: every directive that is read, with any value."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput
from inaetics.units.container_arguments import SECTION as CONTAINER
from inaetics.units.container_keys import KEYS
from inaetics.units.directives import DIRECTIVES, Standing
from inaetics.units.fleet_section import OLD_SPELLINGS, OPTIONS, SECTION
from inaetics.units.grammar import Option, from_options
from inaetics.units.names import parse_name
from inaetics.units.verify import verify
from tests.unit.units.strategies import values, words

READ = [
    *((one.section, one.name) for one in DIRECTIVES if one.standing is Standing.HONOURED),
    *((SECTION, name) for name in (*OPTIONS, *OLD_SPELLINGS)),
    *((CONTAINER, key.name) for key in KEYS if not key.refused),
]
"""Every directive whose value somebody reads."""

_NUMBERS = [
    "0",
    "-1",
    "+3",
    "1.5",
    "007",
    "9" * 30,
    "1e9",
    "²",
    "٣",
    "0x10",
    "nan",
    "infinity",
    "50%",
    "0644",
    "99999",
    "",
]
_UNITS = ["", "s", "ms", "min 3s", "d", "K", "G", "T", "%", ":", "-", "=", "/", ",", " ", "é"]
_WORDS_OF_DIRECTIVES = r"""
yes no always on-failure oneshot notify simple mixed journal null data file: file:/tmp/%i append:/a
truncate:/a stop keep SIGTERM SIGRTMIN+3 TERM KILL 143 ~ - / /a/b ../a a.service a@.service
a@%i.service %n@1.service a.timer KEY=value KEY="a b" ="" a=b=c a:b a:b:c :a /a:/b /a:/b:ro,Z ::1
[::1]:80:80 8080:80/tcp 0-3 3-0 1-x 0-9999999 AES idle fifo all default private-anonymous max
100:200 /dev/null:rwm -/dev/zero /dev/null 1G-2G a* a[ a? !a |a |!/b < >1 <=2G = host none bridge
always newer image:latest ${X}/a:1 a@sha256:12 sha256: http://a ${ $$ $X %% %z % Zm9v Zm9= é== \x
\x41 \ud800 \777 \U00110000 'a "a @a :/a +/a !!/bin/x ; a;b \;
"""
_WORDS = _WORDS_OF_DIRECTIVES.split()

_odd = (
    st.builds("{}{}".format, st.sampled_from(_NUMBERS), st.sampled_from(_UNITS))
    | st.sampled_from(_WORDS)
    | st.lists(st.sampled_from(_WORDS), min_size=1, max_size=3).map(" ".join)
    | st.builds(
        "{}%{}{}".format,
        st.sampled_from(["", "/", "a"]),
        st.sampled_from("aNnpijIJmHtShuUbflAX%"),
        st.sampled_from(["", "é", " "]),
    )
    | values
    | words.filter(lambda text: "\n" not in text and "\r" not in text)
)

_names = st.sampled_from(["a.service", "a@.service", "a@1.service", r"a@x-\x2d\xff.service", r"\x2f-@\x.service"])
_options = st.lists(st.builds(lambda at, value: Option(at[0], at[1], value), st.sampled_from(READ), _odd), max_size=4)
_bases = st.sampled_from([[Option("Service", "ExecStart", "/bin/x")], [Option(CONTAINER, "Image", "a")], []])


def _check(name: str, options: list[Option]) -> None:
    try:
        verify(from_options(options), parse_name(name))
    except InvalidInput as error:
        if not str(error):
            pytest.fail("it is refused without words")


@given(name=_names, base=_bases, options=_options)
@settings(max_examples=300, deadline=None)
def test_what_is_refused_is_refused_with_words(name: str, base: list[Option], options: list[Option]) -> None:
    _check(name, [*base, *options])


@pytest.mark.soak
@pytest.mark.parametrize("at", READ, ids=["/".join(at) for at in READ])
def test_every_directive_takes_or_refuses_any_value(at: tuple[str, str]) -> None:
    @given(name=_names, value=_odd)
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def check(name: str, value: str) -> None:
        base = Option(CONTAINER, "Image", "a") if at[0] == CONTAINER else Option("Service", "ExecStart", "/bin/x")
        _check(name, [base, Option(at[0], at[1], value)])

    check()
