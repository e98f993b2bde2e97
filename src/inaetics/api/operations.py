"""What each resource takes and answers, for the description of the API; a test says which route is not here yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inaetics.api import wire
from inaetics.api.control_v1 import FRAMES
from inaetics.api.events_wire import EventEntry, EventList
from inaetics.api.hosts_wire import HostList
from inaetics.api.machines_wire import MachineChange, MachineDetail, MachineWritten, RebalanceAsk, RebalanceReport
from inaetics.api.provisioning_wire import (
    BundleList,
    BundleWritten,
    TargetHistory,
    TargetList,
    VersionKept,
    VersionList,
    VersionReply,
    VersionRequest,
)
from inaetics.api.registries_wire import ImagesInUse
from inaetics.api.rollouts_wire import ImageUpdateRequest, RolloutList, RolloutReply, RolloutRequest
from inaetics.api.scale_wire import AutomaticWish, Rules, ScaleReply, ScaleReport, ScaleWish
from inaetics.bundles.records import Artifact, Version

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the query: its JSON Schema, and what it means."""

    name: str
    schema: dict[str, object]
    what: str
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `body` and `answer` are msgspec types, or None where there is none, or no JSON.

    `streams` adds another kind of answer, whose pieces are its second part.
    """

    summary: str
    query: tuple[Parameter, ...] = ()
    body: object = None
    body_kind: str | None = None
    answer: object = None
    answer_kind: str | None = JSON
    statuses: tuple[int, ...] = (200,)
    streams: tuple[str, object] | None = None


_AFTER = Parameter(
    "after", {"type": "integer", "minimum": 0}, "Answer once something newer than this revision is known."
)
_WAIT = Parameter("wait_s", {"type": "number", "minimum": 0, "maximum": 60}, "How long to wait for it, in seconds.")
_HELD = (_AFTER, _WAIT)
_PAGE = Parameter("nextPageToken", {"type": "string"}, "From the page before; none for the first.")
_MACHINE = Parameter("machine", {"type": "string"}, "Which machine: a name, or the beginning of an id.")
_LINES = Parameter("lines", {"type": "integer", "minimum": 0, "maximum": 100_000}, "How many of the last lines.")
_FOLLOW = Parameter("follow", {"type": "string", "enum": ["0", "1"]}, "Go on with what comes.")
_UNIT = Parameter("unit", {"type": "string"}, "Of this unit.")
_UNITS = Parameter("unit", {"type": "string"}, "Of these units; none: of all.", many=True)

OPERATIONS: dict[str, Operation] = {
    "GET /fleet/v1/units": Operation(summary="A page of units.", query=(_PAGE,), answer=wire.V1UnitPage),
    "GET /fleet/v1/units/{name}": Operation(summary="One unit.", answer=wire.V1Unit),
    "PUT /fleet/v1/units/{name}": Operation(
        summary="Create a unit from options or replace it by others, or say what is wanted of it.",
        body=wire.V1UnitChange,
        body_kind=JSON,
        answer_kind=None,
        statuses=(201, 204),
    ),
    "DELETE /fleet/v1/units/{name}": Operation(summary="Forget a unit.", answer_kind=None, statuses=(204,)),
    "GET /fleet/v1/state": Operation(
        summary="A page of what machines report.",
        query=(
            _PAGE,
            Parameter("unitName", {"type": "string"}, "Only of this unit."),
            Parameter("machineID", {"type": "string"}, "Only of this machine."),
        ),
        answer=wire.V1StatePage,
    ),
    "GET /fleet/v1/machines": Operation(summary="A page of machines.", query=(_PAGE,), answer=wire.V1MachinePage),
    "PATCH /fleet/v1/machines": Operation(
        summary="Edit machines' metadata, by a list of add, remove and replace.",
        body=list[wire.V1MetadataEdit],
        body_kind=JSON,
        answer_kind=None,
        statuses=(204,),
    ),
    "GET /fleet/v1/discovery": Operation(summary="The original's own description of its API.", answer=dict[str, Any]),
    "GET /inaetics/v1/openapi.json": Operation(summary="This description.", answer=dict[str, Any]),
    "GET /inaetics/v1/health": Operation(summary="How this API is; never an error.", answer=wire.Health),
    "GET /inaetics/v1/hosts": Operation(
        summary="Every worker of the cluster, those that are lost too.", answer=HostList
    ),
    "POST /inaetics/v1/hosts/{name}/{action}": Operation(
        summary="Cut a host's power (kill) or switch it on (start), where all run on one machine; needs the token.",
        answer=dict[str, Any],
    ),
    "GET /inaetics/v1/machines": Operation(summary="Every machine.", query=_HELD, answer=wire.MachineList),
    "GET /inaetics/v1/machines/{id}": Operation(
        summary="One machine, and what a drain has left on it.", query=_HELD, answer=MachineDetail
    ),
    "PATCH /inaetics/v1/machines/{id}": Operation(
        summary="Edit a machine's metadata, cordon it, drain it.",
        body=MachineChange,
        body_kind=JSON,
        answer=MachineWritten,
    ),
    "DELETE /inaetics/v1/machines/{id}": Operation(
        summary="Forget a machine that is gone for good.", answer=MachineWritten
    ),
    "GET /inaetics/v1/rebalance": Operation(summary="What would even out the fleet.", answer=RebalanceReport),
    "POST /inaetics/v1/rebalance": Operation(
        summary="Even out the fleet, so many units at once.", body=RebalanceAsk, body_kind=JSON, answer=RebalanceReport
    ),
    "GET /inaetics/v1/units": Operation(summary="Every unit.", query=_HELD, answer=wire.UnitList),
    "PUT /inaetics/v1/units": Operation(
        summary="Many units at once; what is wrong with one changes none.",
        body=wire.Batch,
        body_kind=JSON,
        answer=wire.BatchReport,
    ),
    "GET /inaetics/v1/units/{name}": Operation(summary="One unit, with its file.", answer=wire.UnitDetail),
    "PUT /inaetics/v1/units/{name}": Operation(
        summary="Store a unit's file, say what is wanted of it, or both.",
        body=wire.UnitChange,
        body_kind=JSON,
        answer=wire.Written,
    ),
    "DELETE /inaetics/v1/units/{name}": Operation(summary="Stop a unit and forget it.", answer=wire.Written),
    "POST /inaetics/v1/units/{name}/restart": Operation(
        summary="Stop and start a unit where it is.", query=(_MACHINE,), answer=wire.Restarted
    ),
    "POST /inaetics/v1/units/{name}/exec": Operation(
        summary="Run a command in a unit: frames both ways, see the reference.",
        query=(_MACHINE,),
        body_kind=FRAMES,
        answer_kind=FRAMES,
    ),
    "GET /inaetics/v1/changes": Operation(
        summary="What became of units since a revision.", query=(_UNITS, *_HELD), answer=wire.Changes
    ),
    "GET /inaetics/v1/states": Operation(
        summary="What every machine reports of its units.", query=_HELD, answer=wire.StateList
    ),
    "GET /inaetics/v1/explain/{name}": Operation(
        summary="Why a unit is where it is, or waits.", answer=wire.ExplainReport
    ),
    "GET /inaetics/v1/journal/{name}": Operation(
        summary="What a unit has written.", query=(_LINES, _FOLLOW, _MACHINE), answer_kind=TEXT
    ),
    "GET /inaetics/v1/events": Operation(
        summary="What happened; as a stream that goes on, where that is accepted.",
        query=(
            Parameter("after", {"type": "string"}, "Only what came behind this event."),
            Parameter("limit", {"type": "integer", "minimum": 0, "maximum": 10_000}, "At most so many."),
            _UNIT,
            Parameter("machine", {"type": "string"}, "Of this machine: a name or an id."),
            Parameter("kind", {"type": "string"}, "Of this kind."),
            Parameter("since", {"type": "number", "minimum": 0}, "Not older than this, in Unix seconds."),
        ),
        answer=EventList,
        streams=("text/event-stream", EventEntry),
    ),
    "GET /inaetics/v1/rollouts": Operation(
        summary="Updates in progress and those that ended, the youngest first.", query=(_UNIT,), answer=RolloutList
    ),
    "POST /inaetics/v1/rollouts": Operation(
        summary="Begin an update, or only say what it would do.",
        body=RolloutRequest,
        body_kind=JSON,
        answer=RolloutReply,
        statuses=(200, 201),
    ),
    "GET /inaetics/v1/rollouts/{id}": Operation(summary="One update.", query=_HELD, answer=RolloutReply),
    "DELETE /inaetics/v1/rollouts/{id}": Operation(
        summary="Cancel an update: what was changed is changed back.",
        query=(Parameter("by", {"type": "string"}, "Who asks."),),
        answer=RolloutReply,
    ),
    "POST /inaetics/v1/image-updates": Operation(
        summary="Bring units to what their images' tags mean now, or only say what that would do.",
        body=ImageUpdateRequest,
        body_kind=JSON,
        answer=RolloutReply,
        statuses=(200, 201),
    ),
    "GET /inaetics/v1/images": Operation(summary="The digests of images that the fleet needs.", answer=ImagesInUse),
    "GET /inaetics/v1/provisioning/bundles": Operation(summary="Every version of every bundle.", answer=BundleList),
    "PUT /inaetics/v1/provisioning/bundles/{name}/{version}": Operation(
        summary="Make known a bundle whose archive is in the registry.",
        query=(
            Parameter("replace", {"type": "string", "enum": ["0", "1"]}, "Also where it had another archive."),
            Parameter("sign", {"type": "string", "enum": ["0", "1"]}, "Only take the signature of an archive known."),
        ),
        body=Artifact,
        body_kind=JSON,
        answer=BundleWritten,
    ),
    "DELETE /inaetics/v1/provisioning/bundles/{name}/{version}": Operation(
        summary="Forget a version of a bundle that no kept version of the mapping needs.", answer=BundleWritten
    ),
    "GET /inaetics/v1/provisioning/versions": Operation(
        summary="The versions of the mapping that are kept, the youngest first.", answer=VersionList
    ),
    "POST /inaetics/v1/provisioning/versions": Operation(
        summary="Apply a mapping, go back to an earlier one, hold or release a target; or say what that would change.",
        body=VersionRequest,
        body_kind=JSON,
        answer=VersionReply,
        statuses=(200, 201),
    ),
    "GET /inaetics/v1/provisioning/versions/{number}": Operation(
        summary="One version of the mapping, or the `current` one.", answer=Version
    ),
    "POST /inaetics/v1/provisioning/versions/{number}/keep": Operation(
        summary="Let the version in force stay: it is on trial no more, whatever targets say.", answer=VersionKept
    ),
    "GET /inaetics/v1/provisioning/targets": Operation(
        summary="What every known target shall run, and how it is.", answer=TargetList
    ),
    "GET /inaetics/v1/provisioning/targets/{target}": Operation(
        summary="What one target shall run, and how it is.", answer=TargetList
    ),
    "GET /inaetics/v1/provisioning/targets/{target}/history": Operation(
        summary="What happened at a target, the youngest first.", answer=TargetHistory
    ),
    "GET /inaetics/v1/scale": Operation(
        summary="The sets of agents that can be scaled, as they are.", query=_HELD, answer=ScaleReport
    ),
    "PUT /inaetics/v1/scale/sets": Operation(
        summary="Declare all sets and their bounds; the operator's alone.",
        body=Rules,
        body_kind=JSON,
        answer=ScaleReport,
    ),
    "PUT /inaetics/v1/scale/sets/{kind}": Operation(
        summary="Have so many agents of a set, or only say what that would change.",
        body=ScaleWish,
        body_kind=JSON,
        answer=ScaleReply,
    ),
    "PUT /inaetics/v1/scale/automatic": Operation(
        summary="Switch automatic scaling on or off.", body=AutomaticWish, body_kind=JSON, answer=ScaleReport
    ),
    "POST /inaetics/v1/token": Operation(
        summary="Whether the request's bearer token is the cluster's.", answer=dict[str, Any]
    ),
    "GET /metrics": Operation(summary="Counters and gauges, for Prometheus.", answer_kind="text/plain; version=0.0.4"),
}
