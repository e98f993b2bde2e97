"""The document that describes the original's API to generated clients, in its own form (a Google API description).

As in the original `rootUrl` is no real address: a client puts its own there.
"""

from __future__ import annotations

import json
from typing import Any


def _text(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def _list_of(kind: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": kind}}


def _schema(kind: str, **properties: Any) -> dict[str, Any]:
    return {"id": kind, "type": "object", "properties": properties}


_STATES = ["inactive", "loaded", "launched"]
_NAME = {"unitName": _text(location="path", required=True)}
_PAGE = {"nextPageToken": _text(location="query")}


def _method(kind: str, verb: str, http: str, path: str, what: str, **more: Any) -> dict[str, Any]:
    order = {"parameterOrder": ["unitName"]} if "{unitName}" in path else {}
    return {"id": f"fleet.{kind}.{verb}", "description": what, "httpMethod": http, "path": path, **order, **more}


DOCUMENT: dict[str, Any] = {
    "kind": "discovery#restDescription",
    "discoveryVersion": "v1",
    "id": "fleet:v1",
    "name": "schema",
    "version": "v1",
    "title": "fleet API",
    "description": "Units and machines of a fleet.",
    "documentationLink": "http://github.com/coreos/fleet",
    "protocol": "rest",
    "icons": {"x16": "", "x32": ""},
    "labels": [],
    "baseUrl": "$ENDPOINT/fleet/v1/",
    "basePath": "/fleet/v1/",
    "rootUrl": "$ENDPOINT/",
    "servicePath": "fleet/v1/",
    "batchPath": "batch",
    "parameters": {},
    "auth": {},
    "schemas": {
        "Machine": _schema(
            "Machine",
            id=_text(),
            primaryIP=_text(),
            metadata={"type": "object", "properties": {}, "additionalProperties": _text()},
        ),
        "MachinePage": _schema("MachinePage", machines=_list_of("Machine"), nextPageToken=_text()),
        "UnitOption": _schema("UnitOption", section=_text(), name=_text(), value=_text()),
        "Unit": _schema(
            "Unit",
            name=_text(),
            options=_list_of("UnitOption"),
            desiredState=_text(enum=_STATES),
            currentState=_text(enum=_STATES),
            machineID=_text(required=True),
        ),
        "UnitPage": _schema("UnitPage", units=_list_of("Unit"), nextPageToken=_text()),
        "UnitState": _schema(
            "UnitState",
            name=_text(),
            hash=_text(),
            machineID=_text(),
            systemdLoadState=_text(),
            systemdActiveState=_text(),
            systemdSubState=_text(),
        ),
        "UnitStatePage": _schema("UnitStatePage", states=_list_of("UnitState"), nextPageToken=_text()),
    },
    "resources": {
        "Machines": {
            "methods": {
                "List": _method(
                    "Machine",
                    "List",
                    "GET",
                    "machines",
                    "Retrieve a page of Machine objects.",
                    parameters=_PAGE,
                    response={"$ref": "MachinePage"},
                )
            }
        },
        "Units": {
            "methods": {
                "List": _method(
                    "Unit",
                    "List",
                    "GET",
                    "units",
                    "Retrieve a page of Unit objects.",
                    parameters=_PAGE,
                    response={"$ref": "UnitPage"},
                ),
                "Get": _method(
                    "Unit",
                    "Get",
                    "GET",
                    "units/{unitName}",
                    "Retrieve a single Unit object.",
                    parameters=_NAME,
                    response={"$ref": "Unit"},
                ),
                "Delete": _method(
                    "Unit",
                    "Delete",
                    "DELETE",
                    "units/{unitName}",
                    "Delete the referenced Unit object.",
                    parameters=_NAME,
                ),
                "Set": _method(
                    "Unit",
                    "Set",
                    "PUT",
                    "units/{unitName}",
                    "Create or update a Unit.",
                    parameters=_NAME,
                    request={"$ref": "Unit"},
                ),
            }
        },
        "UnitState": {
            "methods": {
                "List": _method(
                    "UnitState",
                    "List",
                    "GET",
                    "state",
                    "Retrieve a page of UnitState objects.",
                    parameters={**_PAGE, "unitName": _text(location="query"), "machineID": _text(location="query")},
                    response={"$ref": "UnitStatePage"},
                )
            }
        },
    },
}

DISCOVERY = json.dumps(DOCUMENT).encode()
