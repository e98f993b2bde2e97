from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inaetics.errors import InvalidInput
from inaetics.store.keys import ALL_FROM, check_commit, decode, encode, guard_failure, prefix_range, range_end
from inaetics.store.protocol import CreatedAt, Delete, Guard, ModIs, Put

# Few distinct bytes, 0xff among them: so that prefixes of one another are common.
_BYTES = st.lists(st.sampled_from([0x00, 0x01, 0x61, 0xFE, 0xFF]), max_size=5).map(bytes)


@given(_BYTES, _BYTES)
@example(b"a\xff", b"a\xff\xff")
@example(b"a\xff", b"b")
@example(b"\xff\xff", b"\xff\xff\xff")
def test_a_key_is_in_the_range_exactly_when_it_begins_with_the_prefix(prefix: bytes, key: bytes) -> None:
    end = range_end(prefix)
    in_range = prefix <= key and (end == ALL_FROM or key < end)
    assert in_range == key.startswith(prefix)


def test_the_empty_prefix_is_the_range_of_all_keys() -> None:
    assert prefix_range("") == (ALL_FROM, ALL_FROM)


def test_w1_does_not_cover_w10() -> None:
    start, end = prefix_range("/machines/w1/")
    assert not start <= encode("/machines/w10/x") < end


@given(st.binary())
def test_a_key_survives_the_way_there_and_back(key: bytes) -> None:
    assert encode(decode(key)) == key


_GUARDS: dict[str, tuple[Guard, int, int, str | None]] = {
    "unchanged": (ModIs(key="k", revision=5), 5, 3, None),
    "changed": (ModIs(key="k", revision=4), 5, 3, "'k' was changed at revision 5, expected 4"),
    "deleted": (ModIs(key="k", revision=4), 0, 0, "'k' does not exist, expected 4"),
    "absent": (ModIs(key="k", revision=0), 0, 0, None),
    "present": (ModIs(key="k", revision=0), 5, 3, "'k' was changed at revision 5, expected that it does not exist"),
    "changed, not created": (CreatedAt(key="k", revision=3), 5, 3, None),
    "created anew": (CreatedAt(key="k", revision=3), 7, 6, "'k' was created at revision 6, expected 3"),
}


@pytest.mark.parametrize(("guard", "mod", "created", "failure"), _GUARDS.values(), ids=_GUARDS.keys())
def test_a_guard_tells_how_its_key_stands(guard: Guard, mod: int, created: int, failure: str | None) -> None:
    assert guard_failure(guard, mod_revision=mod, create_revision=created) == failure


def test_a_guarded_key_must_be_named() -> None:
    with pytest.raises(InvalidInput, match="empty key"):
        check_commit([], [ModIs(key="", revision=0)])


def test_neighbours_are_not_the_same_key() -> None:
    check_commit([Put(key="a", value=b""), Put(key="a/", value=b""), Delete(key="a/b/", prefix=True)], [])
