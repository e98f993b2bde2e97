"""Start limits, as systemd.unit(5) says them: more starts than the burst within the interval are not permitted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inaetics.supervisor.machine import step
from inaetics.supervisor.policy import count_start
from inaetics.supervisor.values import Begun, MainExited, Result, StartRequested, State, Sub, TimedOut
from inaetics.units.command import Command
from inaetics.units.service_model import Restart, ServiceSpec
from tests.unit.supervisor.test_machine import BAD

INTERVAL_S = 10.0

_gaps = st.lists(st.sampled_from([0.0, 0.5, 3.0, 9.0, 10.0, 11.0]), max_size=25)


def _spec(burst: int, interval_s: float = INTERVAL_S) -> ServiceSpec:
    return ServiceSpec(
        name="a.service",
        exec_start=(Command(argv=("/bin/x",)),),
        restart=Restart.ON_FAILURE,
        start_limit_burst=burst,
        start_limit_interval_s=interval_s,
    )


@given(gaps=_gaps, burst=st.integers(1, 4))
def test_no_interval_ever_holds_more_starts_than_the_burst_and_none_is_refused_needlessly(
    gaps: list[float], burst: int
) -> None:
    now = 0.0
    counted: tuple[float, ...] = ()
    done: list[float] = []
    for gap in gaps:
        now += gap
        within = [start for start in done if start > now - INTERVAL_S]
        starts = count_start(_spec(burst), counted, now)
        assert (starts is not None) is (len(within) < burst)
        if starts is not None:
            counted = starts
            done.append(now)
    assert len(counted) <= burst  # what is remembered is bounded


@given(gaps=_gaps, burst=st.integers(1, 4))
def test_a_unit_that_fails_again_and_again_is_given_up(gaps: list[float], burst: int) -> None:
    spec = _spec(burst)
    now, begun = 0.0, 0
    state, _ = step(spec, State(), StartRequested(), now)
    for gap in [*gaps, *[0.0] * (burst + 1)]:
        state, _ = step(spec, state, Begun(), now)
        if state.sub is Sub.FAILED:
            break
        begun += 1
        state, _ = step(spec, state, MainExited(BAD), now)
        while state.sub is not Sub.START_PRE:  # each time to stop runs out, and RestartSec= too
            state, _ = step(spec, state, TimedOut(), now)
        now += gap
    assert state.result is Result.START_LIMIT_HIT
    assert begun >= burst


@given(gaps=_gaps, switched_off=st.sampled_from([(0, INTERVAL_S), (3, 0.0)]))
def test_zero_switches_the_limit_off(gaps: list[float], switched_off: tuple[int, float]) -> None:
    spec = _spec(*switched_off)
    starts: tuple[float, ...] | None = ()
    now = 0.0
    for gap in gaps:
        now += gap
        starts = count_start(spec, starts or (), now)
        assert starts is not None
