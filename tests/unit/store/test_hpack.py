"""Headers of HTTP/2: the examples of RFC 7541, what a server of gRPC writes, and what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.store import hpack

_EXAMPLES = {
    "C.2.1 a literal to be remembered": (
        "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
        {"custom-key": "custom-header"},
    ),
    "C.2.2 a literal under a known name": ("040c2f73616d706c652f70617468", {":path": "/sample/path"}),
    "C.2.3 a literal never to be remembered": ("100870617373776f726406736563726574", {"password": "secret"}),
    "C.2.4 a known field": ("82", {":method": "GET"}),
    "C.4.1 packed": (
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "www.example.com"},
    ),
    "C.4.3 packed, another": ("408825a849e95ba97d7f8925a849e95bb8e8b4bf", {"custom-key": "custom-value"}),
    "C.6.1 packed, of an answer": (
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        {
            ":status": "302",
            "cache-control": "private",
            "date": "Mon, 21 Oct 2013 20:13:21 GMT",
            "location": "https://www.example.com",
        },
    ),
    "C.6.3 packed, long": (
        "77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        {"set-cookie": "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"},
    ),
    "an empty table is said to be empty": ("2088", {":status": "200"}),
}


@pytest.mark.parametrize(("block", "headers"), _EXAMPLES.values(), ids=_EXAMPLES.keys())
def test_a_block_is_read_as_the_standard_says(block: str, headers: dict[str, str]) -> None:
    assert hpack.decode(bytes.fromhex(block)) == headers


_WRONG = {
    "a field of a table that we do not keep": "be",
    "field 0": "80",
    "a table that was never allowed": "3f21",
    "text that ends too early": "000561",
    "a number that never ends": "7fffffffffffffffff",
    "packed text that is not ASCII": "0084ffffffff00",
    "packed text that ends within a letter": "0001618100",
}


@pytest.mark.parametrize("block", _WRONG.values(), ids=_WRONG.keys())
def test_a_block_that_is_wrong_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match=r"table|early|large|ASCII|letter"):
        hpack.decode(bytes.fromhex(block))


@given(st.dictionaries(st.text("abc-:/.", min_size=1), st.text("abc /.;=")))
def test_what_is_written_is_read(headers: dict[str, str]) -> None:
    assert hpack.decode(hpack.encode(headers)) == headers


@given(st.binary(max_size=40))
def test_any_bytes_are_headers_or_refused(block: bytes) -> None:
    with contextlib.suppress(ValueError):
        hpack.decode(block)


@pytest.mark.parametrize(("block", "ok"), [("88", True), ("2088be", True), ("8d", False), ("20", False), ("", False)])
def test_an_answer_that_is_one_shows_in_its_first_bytes(block: str, ok: bool) -> None:
    assert hpack.is_ok(bytes.fromhex(block)) is ok
