"""The API's own description: it covers every route, what is answered fits it, and nothing made from it breaks the API.

The fuzzer makes requests that fit the description and requests that do not, and sends them over mutual TLS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from inaetics.api.openapi import describe, operations
from inaetics.api.operations import OPERATIONS
from tests.component.api.live import LiveFleet
from tests.component.api.test_fleet_v1 import ask

FEW, MANY = 3, 40
"""Examples for each operation and each way of making requests: the same ones each time, so a few are enough to see a
change."""

BY_HAND = {"POST /inaetics/v1/units/{name}/exec"}
"""Frames: tested in other places."""


@pytest.fixture(scope="module")
def described(running: LiveFleet) -> dict[str, Any]:
    answer = ask(running, "GET", "/inaetics/v1/openapi.json")
    assert answer.status == 200
    document = answer.json
    assert isinstance(document, dict)
    return document


def test_every_route_is_described(described: dict[str, Any]) -> None:
    served = {f"{method.upper()} {path}" for path, item in described["paths"].items() for method in item}
    assert served == set(OPERATIONS), "describe it in inaetics.api.operations"
    assert all(item["summary"] for path in described["paths"].values() for item in path.values())


def test_a_route_that_nobody_described_is_there_all_the_same() -> None:
    from starlette.responses import Response
    from starlette.routing import Route

    async def new(request: object) -> Response:
        return Response()

    route = Route("/inaetics/v1/new/{name}", new, methods=["GET", "PUT"])
    assert list(operations([route])) == [(route.path, "GET"), (route.path, "PUT")]
    document = describe([route])
    assert set(document["paths"]["/inaetics/v1/new/{name}"]) == {"get", "put"}


def test_it_is_openapi_3_1_with_every_reference_resolved(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    known = set(described["components"]["schemas"])
    used = set(_references(described))
    assert used
    assert used <= known, used - known
    identifiers = [item["operationId"] for path in described["paths"].values() for item in path.values()]
    assert len(identifiers) == len(set(identifiers))


def _references(node: object) -> Iterator[str]:
    match node:
        case dict():
            for key, value in node.items():
                if key == "$ref":
                    yield value.removeprefix("#/components/schemas/")
                else:
                    yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)
        case _:
            pass


def _cases(document: dict[str, Any]) -> Iterator[Any]:
    for result in from_dict(document).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if f"{operation.method.upper()} {operation.path}" not in BY_HAND:
            yield operation


@pytest.mark.timeout(900)
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "not-fitting"])
def test_nothing_made_from_the_description_breaks_it(
    fleet: LiveFleet, described: dict[str, Any], mode: GenerationMode, examples: int
) -> None:
    failures: list[str] = []
    tried = 0
    session = _session(fleet)
    for operation in _cases(described):
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except schemathesis.errors.InvalidSchema as error:
            raise AssertionError(f"{operation.label}: {error}") from error

        @settings(
            max_examples=examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def send(case: Case[Any]) -> None:
            nonlocal tried
            tried += 1
            _check(fleet, session, case, failures)

        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue  # there is no wrong way to ask for it
        send()
    session.close()
    assert not failures, "\n".join(failures[:20])
    assert tried > 20 * examples, "most operations were not tried"
    assert ask(fleet, "GET", "/inaetics/v1/health").status == 200


def _session(fleet: LiveFleet) -> requests.Session:
    """Connections that are kept: a handshake costs more than an answer."""
    tls, session = fleet.client_tls, requests.Session()
    session.cert, session.trust_env = (str(tls.cert), str(tls.key)), False
    return session


def _check(fleet: LiveFleet, session: requests.Session, case: Case[Any], failures: list[str]) -> None:
    _bounded(case)
    response = case.call(base_url=fleet.url, session=session, verify=str(fleet.client_tls.ca), timeout=20)
    answered = f"{response.status_code} {response.content[:300]!r}"
    what = f"{case.method} {response.request.url} {str(case.body)[:200]}: {answered}"
    if response.status_code >= 400:
        try:
            entity = json.loads(response.content)["error"]
        except (ValueError, KeyError, TypeError):
            failures.append(f"no error entity: {what}")
            return
        if entity["code"] != response.status_code or not isinstance(entity["message"], str):
            failures.append(f"not its own status: {what}")
    if response.status_code >= 500 and response.status_code != 503:
        failures.append(f"server error: {what}")
    try:
        case.validate_response(response, checks=_FITS)
    except (FailureGroup, Failure) as error:
        failures.append(f"{what}: {error}")


_FITS = [content_type_conformance, response_schema_conformance, status_code_conformance]
"""Whether a request that fits is accepted is not asked: a unit's file has a grammar of its own, and so has its name."""


def _bounded(case: Case[Any]) -> None:
    """Nobody waits here: held requests are answered at once, and nothing is followed."""
    query = dict(case.query or {})
    for key, value in {"wait_s": 0.01, "follow": "0"}.items():
        if key in query:
            query[key] = value
    case.query = query


def test_the_description_is_small_and_made_once(fleet: LiveFleet) -> None:
    first, second = (ask(fleet, "GET", "/inaetics/v1/openapi.json").body for _ in range(2))
    assert first == second
    assert len(first) < 200_000
