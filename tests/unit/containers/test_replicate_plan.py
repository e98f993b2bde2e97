"""Ledgers converge: whatever was said where and in whatever order registries meet, in the end all are equal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inaetics.containers.replicate_plan import (
    Adopt,
    Entry,
    Key,
    Ledger,
    Renew,
    Stamp,
    is_entry,
    merged,
    next_stamp,
    plan,
)

A, B = (f"sha256:{letter * 64}" for letter in "ab")
HOSTS = ("w1", "w2", "w3")


def entry(digest: str, time_ms: int, host: str = "w1") -> Entry:
    return Entry(digest=digest, stamp=Stamp(time_ms, host))


def tag(name: str = "latest") -> Key:
    return ("app", name)


entries = st.builds(entry, st.sampled_from(["", A, B]), st.integers(0, 5), st.sampled_from(HOSTS))
ledgers = st.fixed_dictionaries({}, optional={tag("latest"): entries, tag("v1"): entries})

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other things."""


@unhurried
@given(ledgers, ledgers, ledgers)
def test_the_order_of_merging_does_not_matter(a: Ledger, b: Ledger, c: Ledger) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) == merged(merged(c, a), b)


@unhurried
@given(ledgers, ledgers)
def test_what_was_brought_about_leaves_nothing_to_plan(mine: Ledger, theirs: Ledger) -> None:
    assert plan(merged(mine, theirs), theirs) == []


class Replica:
    """A registry as its ledger alone, with the manifests it holds."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.ledger: dict[Key, Entry] = {}
        self.held: set[str] = set()

    def push(self, now: int, name: str, digest: str) -> None:
        for reference in (digest, name):
            key = ("app", reference)
            self.ledger[key] = Entry(digest=digest, stamp=next_stamp(now, self.host, [self.ledger.get(key)]))
        self.held.add(digest)

    def prune(self, now: int) -> None:
        tagged = {each.digest for key, each in self.ledger.items() if not key[1].startswith("sha256:")}
        for digest in self.held - tagged:
            key = ("app", digest)
            self.ledger[key] = Entry(digest="", stamp=next_stamp(now, self.host, [self.ledger.get(key)]))
        self.held &= tagged

    def meet(self, other: Replica) -> bool:
        """Catch up with another; returns whether there was anything to do. What it lacks too comes later."""
        changed = False
        for action in plan(self.ledger, other.ledger):
            match action:
                case Renew(key=key, after=after):
                    stamp = next_stamp(0, self.host, [self.ledger.get(key), entry("", after.time_ms)])
                    self.ledger[key] = Entry(digest=key[1], stamp=stamp)
                case Adopt(key=key, entry=new):
                    if key[1].startswith("sha256:"):
                        if new.digest and key[1] not in self.held | other.held:
                            continue
                        self.held = self.held | {key[1]} if new.digest else self.held - {key[1]}
                    self.ledger[key] = new
            changed = True
        return changed


moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("push"), st.sampled_from([0, 1, 2]), st.sampled_from(["latest", "v1"]), st.sampled_from([A, B])
        ),
        st.tuples(st.just("prune"), st.sampled_from([0, 1, 2])),
        st.tuples(st.just("meet"), st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2])),
    ),
    max_size=12,
)


@unhurried
@given(moves)
def test_replicas_that_all_have_met_are_equal_and_hold_what_their_tags_mean(moves: list[tuple[Any, ...]]) -> None:
    replicas = [Replica(host) for host in HOSTS]
    for now, move in enumerate(moves):
        match move:
            case ("push", int(at), str(name), str(digest)):
                replicas[at].push(now, name, digest)
            case ("prune", int(at)):
                replicas[at].prune(now)
            case ("meet", int(at), int(other)):
                replicas[at].meet(replicas[other])
            case _:
                raise AssertionError(move)
    for _ in range(10):
        if not any([a.meet(b) for a, b in itertools.permutations(replicas, 2)]):
            break
    else:
        pytest.fail("they go on and on")
    assert replicas[0].ledger == replicas[1].ledger == replicas[2].ledger
    meant = {each.digest for key, each in replicas[0].ledger.items() if not key[1].startswith("sha256:")} - {""}
    assert all(replica.held >= meant for replica in replicas)


@pytest.mark.parametrize(
    ("mine", "theirs", "wins"),
    [
        (entry(A, 1), entry(B, 2), B),
        (entry(A, 2), entry(B, 1), A),
        (entry(A, 1, "w2"), entry(B, 1, "w1"), A),
        (entry(A, 1), entry("", 2), ""),
        (entry("", 1), entry(B, 2), B),
    ],
    ids=["later wins", "earlier loses", "same time: the later host's name", "removed later", "pushed again"],
)
def test_last_writer_wins(mine: Entry, theirs: Entry, wins: str) -> None:
    assert merged({tag(): mine}, {tag(): theirs})[tag()].digest == wins
    assert merged({tag(): theirs}, {tag(): mine})[tag()].digest == wins


def test_manifests_come_before_tags_and_removals_last() -> None:
    theirs: Mapping[Key, Entry] = {
        tag("old"): entry("", 9),
        ("app", B): entry("", 9),
        tag(): entry(A, 9),
        ("app", A): entry(A, 9),
    }
    mine = {tag("old"): entry(B, 1), ("app", B): entry(B, 1)}
    assert [each.key for each in plan(mine, theirs)] == [("app", A), tag(), tag("old"), ("app", B)]


def test_a_manifest_that_a_tag_means_is_not_removed() -> None:
    mine = {tag(): entry(A, 5), ("app", A): entry(A, 5)}
    assert plan(mine, {("app", A): entry("", 9)}) == [Renew(key=("app", A), after=Stamp(9, "w1"))]


def test_a_push_beats_what_it_replaces_whatever_the_clocks_say() -> None:
    seen = entry(A, 1_000_000, "w9")
    assert next_stamp(17, "w1", [seen, None]) > seen.stamp


@pytest.mark.parametrize(
    ("repository", "reference", "digest"),
    [
        ("../../etc", "latest", A),
        ("app", "../x", A),
        ("app/", "latest", A),
        ("app", "latest", "sha256:short"),
        ("app", A, B),
        ("app", "a\nb", A),
        ("App", "latest", A),
        ("", "latest", A),
    ],
)
def test_what_would_lead_out_of_a_directory_or_contradict_itself_is_no_entry(
    repository: str, reference: str, digest: str
) -> None:
    assert not is_entry(repository, reference, digest)


@pytest.mark.parametrize("repository", ["app", "inaetics/felix-agent", "a.b/c__d/e-f"])
def test_names_that_the_protocol_has_are_taken(repository: str) -> None:
    assert is_entry(repository, "latest", A)
    assert is_entry(repository, A, "")
