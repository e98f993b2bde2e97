"""Calls over members that lose them: who is asked next, how soon, and what is told of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from inaetics.errors import Unavailable
from inaetics.store import wire
from inaetics.store.rpc import RpcError, Status
from inaetics.store.schema import PUT, Method
from inaetics.store.wire import Doubt, Wire

TIMEOUT_S = 1.0
"""Of a whole call: its first attempt takes a fifth of it."""

Answer = Callable[[float], Any]


def swallow(timeout_s: float) -> Any:
    """Take the request and never say a word: what a follower does that hands it on to a leader that is gone."""
    raise RpcError(Status.DEADLINE_EXCEEDED, "no answer in time")


class FakeMember:
    """Answers at once what the test has it answer; time passes where it lets a request wait for its limit."""

    answers: dict[str, Answer]
    asked: list[tuple[str, float]]

    def __init__(self, host: str, context: ssl.SSLContext | None) -> None:
        self.host = host

    async def call(self, method: Method, request: Any, *, timeout_s: float) -> Any:
        self.asked.append((self.host, timeout_s))
        answer = self.answers.get(self.host)
        if answer is swallow:
            await asyncio.sleep(timeout_s)
        return answer(timeout_s) if answer else f"the answer of {self.host}"

    async def close(self, *, grace_s: float = 0.0) -> None:
        pass


@pytest.fixture(autouse=True)
def members(monkeypatch: pytest.MonkeyPatch) -> type[FakeMember]:
    """Three of them, a, b and c; a client begins with a."""
    FakeMember.answers, FakeMember.asked = {}, []
    monkeypatch.setattr(wire, "Channel", FakeMember)
    monkeypatch.setattr("inaetics.store.wire.random.randrange", lambda number: 0)
    return FakeMember


async def call(used: Wire, doubt: Doubt | None = None) -> Any:
    return await used.call(PUT, None, what="cannot put '/a'", doubt=doubt)


def a_wire() -> Wire:
    return Wire(("a:1", "b:1", "c:1"), None, endpoints="a, b, c", timeout_s=TIMEOUT_S)


def test_a_request_that_a_member_loses_goes_to_another_one_soon_and_the_member_is_left(
    members: type[FakeMember],
) -> None:
    async def main() -> None:
        used, doubt, silent = a_wire(), Doubt(), []
        used.on_silence = lambda member: silent.append(member.host)
        members.answers["a:1"] = swallow
        assert await call(used, doubt) == "the answer of b:1"
        (first, limit), *_ = members.asked
        assert first == "a:1"
        assert limit <= TIMEOUT_S / 5
        assert doubt.applied, "it may have been applied all the same"
        assert silent == ["a:1"]
        assert await call(used) == "the answer of b:1"
        assert len(members.asked) == 3

    asyncio.run(main())


def test_two_members_of_three_may_lose_it(members: type[FakeMember]) -> None:
    async def main() -> None:
        members.answers |= {"a:1": swallow, "b:1": swallow}
        assert await call(a_wire()) == "the answer of c:1"

    asyncio.run(main())


def test_a_call_that_nobody_answers_fails_within_its_time(members: type[FakeMember]) -> None:
    async def main() -> None:
        members.answers |= {"a:1": swallow, "b:1": swallow, "c:1": swallow}
        begin = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable, match=r"cannot put '/a': the store does not answer at a, b, c"):
            await call(a_wire())
        assert sum(limit for _, limit in members.asked) <= TIMEOUT_S
        assert asyncio.get_running_loop().time() - begin >= TIMEOUT_S * 0.8, "all of its time was used"

    asyncio.run(main())


def test_a_slow_call_is_told_of_with_the_members_it_was_tried_at_and_only_now_and_then(
    members: type[FakeMember], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_SLOW_S", 0.0)

    async def main() -> None:
        used = a_wire()
        used.tells_slow = True
        members.answers["a:1"] = swallow
        with capture_logs() as logs:
            await call(used)
            members.answers["b:1"] = swallow
            await call(used)
            await call(used)  # an answer that comes at once
        told = [entry for entry in logs if entry["event"] == "slow store call"]
        assert [(each["call"], each["member"], each["others"]) for each in told] == [("put '/a'", "b:1", 0)]
        assert told[0]["failures"] == ["a:1: no answer in time (0.2 s)"]
        used._slow_told_at = float("-inf")
        members.answers["c:1"] = swallow
        members.answers.pop("a:1")
        with capture_logs() as logs:
            await call(used)
        assert [entry["others"] for entry in logs if entry["event"] == "slow store call"] == [1]

    asyncio.run(main())
