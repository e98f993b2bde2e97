"""The API's description in OpenAPI 3.1, made from its routes and its own types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from inaetics.api.operations import JSON, OPERATIONS, Operation, Parameter
from inaetics.api.peers import NODES_MAY
from inaetics.api.wire import ErrorEntity

_REF = "#/components/schemas/{name}"
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
_ADDED = frozenset({"HEAD"})
"""What the framework answers wherever there is a GET."""


def operations(served: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Every path that is served, with each of its methods."""
    for route in served:
        if isinstance(route, Route) and route.include_in_schema:
            for method in sorted((route.methods or set()) - _ADDED):
                yield route.path, method


def describe(served: Iterable[BaseRoute]) -> dict[str, Any]:
    """The whole document. A route that `OPERATIONS` does not know is there with its path and method only."""
    described = {
        (path, method): OPERATIONS.get(f"{method} {path}", Operation(summary=f"{method} {path}"))
        for path, method in operations(served)
    }
    types = [ErrorEntity, *(kind for each in described.values() for kind in _types(each))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in sorted(described.items(), key=lambda item: (item[0][0], _rank(item[0][1]))):
        paths.setdefault(path, {})[method.lower()] = _described(path, method, operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "INAETICS fleet",
            "version": version("inaetics-cluster"),
            "description": (
                "Units on a cluster of machines: the original fleet's API v1, and ours beside it."
                " What node agents' certificates may ask for is marked x-node-agents; all else needs another one."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _rank(method: str) -> int:
    return _METHODS.index(method) if method in _METHODS else len(_METHODS)


def _types(operation: Operation) -> list[Any]:
    streamed = operation.streams[1] if operation.streams else None
    return [kind for kind in (operation.body, operation.answer, streamed) if kind is not None]


def _described(path: str, method: str, operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", path)
    found: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub('[^A-Za-z0-9]+', '_', path)}".rstrip("_"),
        "summary": operation.summary,
        "parameters": [*map(_in_path, names), *map(_in_query, operation.query)],
        "responses": _responses(operation, schema_of),
    }
    if f"{method} {path}" in NODES_MAY:
        found["x-node-agents"] = True
    if operation.body_kind is not None:
        schema = schema_of[repr(operation.body)] if operation.body is not None else {"type": "string"}
        found["requestBody"] = {"required": True, "content": {operation.body_kind: {"schema": schema}}}
    return found


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(parameter: Parameter) -> dict[str, Any]:
    schema = {"type": "array", "items": parameter.schema} if parameter.many else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.what, "schema": schema}


def _responses(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if operation.answer_kind is not None:
        schema = schema_of[repr(operation.answer)] if operation.answer is not None else {"type": "string"}
        answer["content"] = {operation.answer_kind: {"schema": schema}}
    if operation.streams is not None:
        kind, piece = operation.streams
        answer["content"][kind] = {"schema": schema_of[repr(piece)]}
    refusal = {
        "description": "Refused or failed; the message is for people.",
        "content": {JSON: {"schema": schema_of[repr(ErrorEntity)]}},
    }
    return {**{str(status): answer for status in operation.statuses}, "default": refusal}
