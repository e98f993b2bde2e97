"""etcd's messages and methods, as far as we use them: numbers and types of fields are those of etcd's API.

`schema.RangeRequest(key=b"a")` makes a message; `schema.RANGE` is a method. Fields that are not named here are kept
out of the way by protobuf, as those of a later etcd are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# MESSAGE FIELD:TYPE=NUMBER …; `*` marks what may come many times, `?` one of several, of which 0 is sent too.
_MESSAGES = """
Header member_id:uint64=2 revision:int64=3 raft_term:uint64=4
KeyValue key:bytes=1 create_revision:int64=2 mod_revision:int64=3 value:bytes=5 lease:int64=6
Event type:int32=1 kv:KeyValue=2

RangeRequest key:bytes=1 range_end:bytes=2 revision:int64=4 keys_only:bool=8
RangeResponse header:Header=1 kvs:*KeyValue=2
PutRequest key:bytes=1 value:bytes=2 lease:int64=3
PutResponse header:Header=1
DeleteRangeRequest key:bytes=1 range_end:bytes=2
DeleteRangeResponse header:Header=1 deleted:int64=2
RequestOp request_range:RangeRequest=1 request_put:PutRequest=2 request_delete_range:DeleteRangeRequest=3
ResponseOp response_range:RangeResponse=1
Compare result:int32=1 target:int32=2 key:bytes=3 create_revision:?int64=5 mod_revision:?int64=6
TxnRequest compare:*Compare=1 success:*RequestOp=2 failure:*RequestOp=3
TxnResponse header:Header=1 succeeded:bool=2 responses:*ResponseOp=3
CompactionRequest revision:int64=1 physical:bool=2

LeaseGrantRequest TTL:int64=1
LeaseGrantResponse ID:int64=2 TTL:int64=3
LeaseRevokeRequest ID:int64=1
LeaseKeepAliveRequest ID:int64=1
LeaseKeepAliveResponse ID:int64=2 TTL:int64=3
LeaseTimeToLiveRequest ID:int64=1
LeaseTimeToLiveResponse header:Header=1 ID:int64=2 TTL:int64=3 grantedTTL:int64=4

WatchCreateRequest key:bytes=1 range_end:bytes=2 start_revision:int64=3
WatchProgressRequest
WatchRequest create_request:WatchCreateRequest=1 progress_request:WatchProgressRequest=3
WatchResponse header:Header=1 canceled:bool=4 compact_revision:int64=5 cancel_reason:string=6 events:*Event=11

Member ID:uint64=1 name:string=2 peerURLs:*string=3
MemberListRequest
MemberListResponse members:*Member=2
MemberAddRequest peerURLs:*string=1
MemberRemoveRequest ID:uint64=1
StatusRequest
StatusResponse header:Header=1 version:string=2 dbSize:int64=3 leader:uint64=4 raftIndex:uint64=5 raftTerm:uint64=6 \
raftAppliedIndex:uint64=7 dbSizeInUse:int64=9
AlarmMember memberID:uint64=1 alarm:int32=2
AlarmRequest action:int32=1 memberID:uint64=2 alarm:int32=3
AlarmResponse alarms:*AlarmMember=2
DefragmentRequest
SnapshotRequest
SnapshotResponse blob:bytes=3

Permission permType:int32=1 key:bytes=2 range_end:bytes=3
UserAddOptions no_password:bool=1
AuthEnableRequest
AuthUserAddRequest name:string=1 options:UserAddOptions=3
AuthUserGetRequest name:string=1
AuthUserGetResponse roles:*string=2
AuthUserListRequest
AuthUserListResponse users:*string=2
AuthUserDeleteRequest name:string=1
AuthUserGrantRoleRequest user:string=1 role:string=2
AuthUserRevokeRoleRequest name:string=1 role:string=2
AuthRoleAddRequest name:string=1
AuthRoleGetRequest role:string=1
AuthRoleGetResponse perm:*Permission=2
AuthRoleListRequest
AuthRoleListResponse roles:*string=2
AuthRoleDeleteRequest role:string=1
AuthRoleGrantPermissionRequest name:string=1 perm:Permission=2
AuthRoleRevokePermissionRequest role:string=1 key:bytes=2 range_end:bytes=3
Nothing
"""

_PACKAGE = "inaetics.etcd"


def _load() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="etcd.proto", package=_PACKAGE, syntax="proto3")
    for line in filter(None, _MESSAGES.splitlines()):
        name, *fields = line.split()
        message = file.message_type.add(name=name)
        for field in fields:
            _declare(message, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}"))
        for message in file.message_type
    }


def _declare(message: Any, text: str) -> None:
    name, _, rest = text.partition(":")
    kind, _, number = rest.partition("=")
    many, choice, kind = kind.startswith("*"), kind.startswith("?"), kind.lstrip("*?")
    of = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=int(number), label=of.LABEL_REPEATED if many else of.LABEL_OPTIONAL)
    if choice:
        field.oneof_index = 0
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
    if kind[0].isupper():
        field.type, field.type_name = of.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(of, f"TYPE_{kind.upper()}")


_CLASSES = _load()


def __getattr__(name: str) -> Any:
    try:
        return _CLASSES[name]
    except KeyError:
        raise AttributeError(f"etcd has no message {name!r}, or nobody has needed it") from None


@dataclass(frozen=True, slots=True)
class Method:
    """A method of etcd's, and what it answers with."""

    path: str
    answer: Any


def method(service: str, name: str, answer: str = "Nothing") -> Method:
    """A method of a service: `method("KV", "Put", "PutResponse")`; without an answer that anybody reads by default."""
    return Method(f"/etcdserverpb.{service}/{name}", _CLASSES[answer])


def auth(name: str) -> Method:
    """A method of etcd's service for users and roles."""
    answer = f"Auth{name}Response"
    return method("Auth", name, answer if answer in _CLASSES else "Nothing")


RANGE = method("KV", "Range", "RangeResponse")
PUT = method("KV", "Put", "PutResponse")
DELETE = method("KV", "DeleteRange", "DeleteRangeResponse")
TXN = method("KV", "Txn", "TxnResponse")
COMPACT = method("KV", "Compact")
GRANT = method("Lease", "LeaseGrant", "LeaseGrantResponse")
REVOKE = method("Lease", "LeaseRevoke")
KEEP_ALIVE = method("Lease", "LeaseKeepAlive", "LeaseKeepAliveResponse")
TIME_TO_LIVE = method("Lease", "LeaseTimeToLive", "LeaseTimeToLiveResponse")
WATCH = method("Watch", "Watch", "WatchResponse")
MEMBERS = method("Cluster", "MemberList", "MemberListResponse")
ADD_MEMBER = method("Cluster", "MemberAdd")
REMOVE_MEMBER = method("Cluster", "MemberRemove")
STATUS = method("Maintenance", "Status", "StatusResponse")
ALARM = method("Maintenance", "Alarm", "AlarmResponse")
DEFRAGMENT = method("Maintenance", "Defragment")
SNAPSHOT = method("Maintenance", "Snapshot", "SnapshotResponse")
