"""Between our values and etcd's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inaetics.store import schema as rpc
from inaetics.store.keys import decode, encode, guard_failure, prefix_range
from inaetics.store.protocol import Changed, CreatedAt, Delete, Guard, KeyValue, Listing, ModIs, Op, Put

_DELETED = 1
"""`Event.EventType.DELETE` of etcd's kv.proto."""

_EQUAL, _CREATE, _MOD = 0, 1, 2
"""`Compare.CompareResult.EQUAL`, `Compare.CompareTarget.CREATE` and `MOD` of etcd's rpc.proto."""


def range_request(key: str, *, prefix: bool = False, keys_only: bool = False, revision: int = 0) -> Any:
    """Make a request for what is, or was at `revision`."""
    start, end = prefix_range(key) if prefix else (encode(key), b"")
    return rpc.RangeRequest(key=start, range_end=end, keys_only=keys_only, revision=revision)


def watch_request(prefix: str, from_revision: int) -> Any:
    """Make a request for all changes below a prefix, from that revision on, itself included."""
    start, end = prefix_range(prefix)
    create = rpc.WatchCreateRequest(key=start, range_end=end, start_revision=from_revision)
    return rpc.WatchRequest(create_request=create)


def progress_request() -> Any:
    """Make the request by which a watch's server shows that it lives."""
    request = rpc.WatchRequest()
    request.progress_request.SetInParent()
    return request


def put_request(put: Put) -> Any:
    """Make a request that writes one key."""
    return rpc.PutRequest(key=encode(put.key), value=put.value, lease=put.lease)


def delete_request(delete: Delete) -> Any:
    """Make a request that deletes a key, or all that begin with it."""
    start, end = prefix_range(delete.key) if delete.prefix else (encode(delete.key), b"")
    return rpc.DeleteRangeRequest(key=start, range_end=end)


def txn_request(ops: Sequence[Op], guards: Sequence[Guard]) -> Any:
    """Make a transaction; when a guard fails it answers with the guarded keys as they are."""
    return rpc.TxnRequest(
        compare=[_compare(guard) for guard in guards],
        success=[_operation(op) for op in ops],
        failure=[rpc.RequestOp(request_range=range_request(guard.key, keys_only=True)) for guard in guards],
    )


def read_request(ops: Sequence[Op]) -> Any:
    """Make a transaction that reads what `ops` wrote, all at one revision."""
    ranges = [range_request(op.key, prefix=isinstance(op, Delete) and op.prefix) for op in ops]
    return rpc.TxnRequest(success=[rpc.RequestOp(request_range=request) for request in ranges])


def _compare(guard: Guard) -> Any:
    key = encode(guard.key)
    match guard:
        case ModIs(revision=revision):
            return rpc.Compare(result=_EQUAL, target=_MOD, key=key, mod_revision=revision)
        case CreatedAt(revision=revision):
            return rpc.Compare(result=_EQUAL, target=_CREATE, key=key, create_revision=revision)


def _operation(op: Op) -> Any:
    match op:
        case Put():
            return rpc.RequestOp(request_put=put_request(op))
        case Delete():
            return rpc.RequestOp(request_delete_range=delete_request(op))


def key_value(kv: Any) -> KeyValue:
    """A key as etcd tells it."""
    return KeyValue(
        key=decode(kv.key),
        value=kv.value,
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        lease=kv.lease,
    )


def listing(response: Any) -> Listing:
    """The answer to a request for a prefix."""
    return Listing(revision=response.header.revision, items=tuple(key_value(kv) for kv in response.kvs))


def changed(event: Any) -> Changed:
    """One of a watch's events."""
    kv = event.kv
    current = None if event.type == _DELETED else key_value(kv)
    return Changed(key=decode(kv.key), revision=kv.mod_revision, current=current)


def broken_guard(guards: Sequence[Guard], response: Any) -> str:
    """Say which guard of a refused transaction failed, and how its key stands."""
    for guard, answer in zip(guards, response.responses, strict=True):
        found = answer.response_range.kvs
        mod, created = (found[0].mod_revision, found[0].create_revision) if found else (0, 0)
        if failure := guard_failure(guard, mod_revision=mod, create_revision=created):
            return failure
    return "a guard failed"


def written_at(ops: Sequence[Op], response: Any) -> int:
    """Return the one revision at which `ops` were written if the keys stand as `ops` left them, otherwise 0.

    Deletions leave no revision behind: of nothing but deletions it is the revision at which they are seen.
    """
    revisions: set[int] = set()
    for op, answer in zip(ops, response.responses, strict=True):
        found = answer.response_range.kvs
        match op:
            case Put() if found and (found[0].value, found[0].lease) == (op.value, op.lease):
                revisions.add(found[0].mod_revision)
            case Delete() if not found:
                continue
            case _:
                return 0
    revisions = revisions or {response.header.revision}
    return revisions.pop() if len(revisions) == 1 else 0
