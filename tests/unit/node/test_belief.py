"""Which endpoints are imported, whatever discovery and providers say in whichever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pelix.rsa.endpointdescription import EndpointDescription
from pelix.rsa.providers.discovery import EndpointEvent

from inaetics.node.remote.belief import Belief
from inaetics.node.remote.reachability import Presence
from tests.unit.node.test_discovery import endpoint

ADDED, REMOVED, MODIFIED = EndpointEvent.ADDED, EndpointEvent.REMOVED, EndpointEvent.MODIFIED
ONE = endpoint("one")


def told(events: list[EndpointEvent]) -> list[tuple[int, str]]:
    return [(event.get_type(), event.get_endpoint_description().get_id()) for event in events]


def test_what_is_announced_is_imported_once() -> None:
    belief = Belief()
    assert told(belief.announced(ONE)) == [(ADDED, "one")]
    assert told(belief.announced(endpoint("one"))) == []
    assert told(belief.announced(endpoint("one", colour="red"))) == [(MODIFIED, "one")]
    assert belief.of("them")
    assert not belief.doubtful


def test_what_is_withdrawn_goes_when_its_provider_shows_it_no_more() -> None:
    for presence in (Presence.WITHDRAWN, Presence.DEAD, Presence.SILENT):
        belief = Belief()
        belief.announced(ONE)
        assert belief.withdrawn("one") is ONE
        assert told(belief.shown("one", presence)) == [(REMOVED, "one")]
        assert not belief.doubtful


def test_what_still_answers_stays_though_it_is_announced_no_more() -> None:
    belief = Belief()
    belief.announced(ONE)
    belief.withdrawn("one")
    assert told(belief.shown("one", Presence.EXPORTED)) == []
    assert belief.doubtful == [ONE]
    assert told(belief.announced(endpoint("one"))) == []
    assert not belief.doubtful


def test_what_is_dead_goes_though_it_is_announced_and_returns_when_it_shows() -> None:
    belief = Belief()
    belief.announced(ONE)
    assert told(belief.shown("one", Presence.SILENT)) == []
    assert told(belief.shown("one", Presence.DEAD)) == [(REMOVED, "one")]
    assert belief.doubtful == [ONE]
    assert told(belief.shown("one", Presence.EXPORTED)) == [(ADDED, "one")]
    belief.shown("one", Presence.DEAD)
    assert told(belief.announced(endpoint("one"))) == [(ADDED, "one")], "or when discovery says so again"


def test_what_is_dead_and_withdrawn_is_forgotten() -> None:
    belief = Belief()
    belief.announced(ONE)
    belief.shown("one", Presence.DEAD)
    assert belief.withdrawn("one") is None
    assert not belief.doubtful
    assert told(belief.shown("one", Presence.EXPORTED)) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("announced"), st.sampled_from(("one", "two")), st.integers(0, 1)),
        st.tuples(st.just("withdrawn"), st.sampled_from(("one", "two")), st.just(0)),
        st.tuples(st.just("shown"), st.sampled_from(("one", "two")), st.sampled_from(list(Presence))),
    ),
    max_size=20,
)


@given(steps=steps)
def test_listeners_are_never_told_nonsense(steps: list[tuple[str, str, int | Presence]]) -> None:
    belief = Belief()
    there: dict[str, EndpointDescription] = {}
    announced: set[str] = set()
    for step, name, value in steps:
        events: list[EndpointEvent] = []
        if step == "announced":
            announced.add(name)
            events = belief.announced(endpoint(name, colour=str(value)))
        elif step == "withdrawn":
            announced.discard(name)
            belief.withdrawn(name)
        elif isinstance(value, Presence):
            events = belief.shown(name, value)
        for event in events:
            found = event.get_endpoint_description()
            assert (event.get_type() == ADDED) == (found.get_id() not in there)
            if event.get_type() == REMOVED:
                del there[found.get_id()]
            else:
                there[found.get_id()] = found
        doubtful = {found.get_id() for found in belief.doubtful}
        assert announced - doubtful <= set(there), "what is announced and not in doubt is imported"
        assert set(there) - doubtful <= announced
