"""Losing touch: which times fit, and that a unit has stopped before its machine's lease can end, whoever dies when."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inaetics.errors import InvalidInput, UnitFileError
from inaetics.fleet.in_touch import TouchTimes, check_stop, check_times
from inaetics.fleet.settings import AgentSettings, EngineSettings
from inaetics.fleet.submission import check_submission
from inaetics.supervisor.deadline import May, verdict
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name

TIMES = AgentSettings().touch
NAME = parse_name("a.service")


def unit(*service: str, on_lost: str = "stop") -> str:
    return "\n".join(["[Service]", "ExecStart=/bin/x", *service, "[X-Fleet]", f"OnLost={on_lost}", ""])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        pytest.param(unit("TimeoutStopSec=1"), True, id="a second"),
        pytest.param(unit("TimeoutStopSec=1100ms"), True, id="exactly what fits"),
        pytest.param(unit("TimeoutStopSec=1101ms"), False, id="a millisecond more"),
        pytest.param(unit("TimeoutSec=1"), True, id="the other spelling"),
        pytest.param(unit(), False, id="the default is too long"),
        pytest.param(unit("TimeoutStopSec=infinity"), False, id="for ever"),
        pytest.param(unit("TimeoutStopSec=0"), False, id="none is for ever"),
        pytest.param(unit(on_lost="keep"), True, id="keep asks for nothing"),
        pytest.param("[Container]\nImage=x\n[X-Fleet]\nOnLost=stop\n", False, id="a container's default"),
        pytest.param("[Container]\nImage=x\n[Service]\nTimeoutStopSec=1\n[X-Fleet]\nOnLost=stop\n", True, id="its own"),
    ],
)
def test_a_stop_fits_or_is_refused_with_what_would(text: str, *, fits: bool) -> None:
    if fits:
        check_stop(parse(text, source="a.service"), NAME, TIMES)
        check_submission("a.service", text)
        return
    with pytest.raises(UnitFileError, match=r"TimeoutStopSec=1 or less in \[Service\]") as refused:
        check_submission("a.service", text)
    assert refused.value.line is not None


def test_what_the_refusal_recommends_is_accepted() -> None:
    for ttl_s in (4.2, 5.0, 7.5, 30.0):
        times = replace(TIMES, lease_ttl_s=ttl_s)
        with pytest.raises(UnitFileError) as refused:
            check_stop(parse(unit("TimeoutStopSec=5min"), source="a.service"), NAME, times)
        recommended = str(refused.value).partition("write ")[2].partition(" or less")[0]
        check_stop(parse(unit(recommended), source="a.service"), NAME, times)


def test_the_times_chosen_hold_together() -> None:
    check_times(TIMES)
    assert TIMES.lease_ttl_s == EngineSettings().machine_ttl_s, "the engine waits as long as agents' leases last"
    assert TIMES.election_s >= 2
    assert TIMES.longest_stop_s == 1.1, "docs/how-to/failover.md names it"


def test_a_lease_too_short_for_them_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"more than 3.9 s"):
        check_times(replace(TIMES, lease_ttl_s=3.9))


# ---- the whole of it on a simulated clock

TICK_S = 0.05


@dataclass
class Host:
    """A machine tick by tick: an agent that renews and arms, a supervisor that obeys; each may be away at any time.

    What is simulated is when they act; how they decide is the code under test (`TouchTimes`, `verdict`).
    """

    times: TouchTimes
    stop_s: float
    ends_after_s: float
    now: float = 0.0
    renewed_at: float = 0.0
    lease_ends: float = 0.0
    armed: float = -math.inf
    asked_at: float | None = None
    stopped_at: float | None = None

    def renew(self, *, travels_s: float, arrives_s: float) -> None:
        """A renewal sent `travels_s` ago is answered now; it had reached etcd `arrives_s` after its sending."""
        sent = self.now - travels_s
        self.renewed_at = max(self.renewed_at, sent)
        self.lease_ends = max(self.lease_ends, sent + arrives_s + self.times.lease_ttl_s)

    def arm(self) -> None:
        self.armed = self.renewed_at + self.times.lease_ttl_s - self.times.margin_s

    def supervise(self) -> None:
        match verdict(self.now, self.armed, self.stop_s):
            case May.DIE:
                self.stopped_at = self.now
            case May.STOP if self.asked_at is None:
                self.asked_at = self.now
            case _:
                pass

    def pass_time(self) -> None:
        self.now += TICK_S
        if self.stopped_at is None and self.asked_at is not None and self.now >= self.asked_at + self.ends_after_s:
            self.stopped_at = self.now


ends_after = st.sampled_from([0.0, 0.5, 1.1, math.inf])
moments = st.floats(0, 12).map(lambda at: round(at / TICK_S) * TICK_S)


@settings(max_examples=300, deadline=None)
@given(
    cut_at=moments,
    agent_dies=moments,
    supervisor_dies=st.floats(-2, 1),
    away_s=st.floats(0, TIMES.margin_s - 2 * TICK_S),
    ends_after_s=ends_after,
    travels_s=st.floats(0, TIMES.call_s),
    data=st.data(),
)
def test_a_unit_has_stopped_before_its_lease_ends(
    cut_at: float,
    agent_dies: float,
    supervisor_dies: float,
    away_s: float,
    ends_after_s: float,
    travels_s: float,
    data: st.DataObject,
) -> None:
    """The link is cut, the agent dies or hangs, and the supervisor is killed around the deadline, at any instants.

    It is back within `margin_s`; the unit may ignore its stop altogether.
    """
    host = Host(TIMES, stop_s=TIMES.longest_stop_s, ends_after_s=ends_after_s)
    arrives_s = data.draw(st.floats(0, travels_s))
    host.renew(travels_s=0, arrives_s=0)
    host.arm()
    next_answer = TIMES.renew_every_s
    while host.stopped_at is None:
        assert host.now < 30, "a deadline that is not moved comes"
        if host.now < min(cut_at, agent_dies) and host.now >= next_answer:
            host.renew(travels_s=travels_s, arrives_s=arrives_s)
            next_answer = host.now + TIMES.renew_every_s
            host.arm()
        if not supervisor_dies <= host.now - host.armed < supervisor_dies + away_s:
            host.supervise()
        host.pass_time()
    assert host.stopped_at <= host.lease_ends


@settings(max_examples=100, deadline=None)
@given(begins=st.floats(0, 3), lasts=st.floats(0, TIMES.election_s), stop_s=st.floats(0, TIMES.longest_stop_s - 0.001))
@example(begins=1.75, lasts=2.0, stop_s=TIMES.longest_stop_s - 0.001)
def test_an_election_stops_nothing(begins: float, lasts: float, stop_s: float) -> None:
    """While etcd elects a leader no attempt is answered, nor one sent just before; one that hangs takes its time.

    The longest stop that fits begins at the very instant of the last attempt: it may win by the time of that call.
    """
    sent, armed = 0.0, TIMES.lease_ttl_s - TIMES.margin_s
    while sent < begins + lasts + 5:
        answered = sent == 0 or not begins - TIMES.call_s < sent < begins + lasts
        if answered:
            armed = sent + TIMES.lease_ttl_s - TIMES.margin_s
        sent += TIMES.renew_every_s if answered else TIMES.call_s
        assert verdict(sent, armed, stop_s) is May.RUN
