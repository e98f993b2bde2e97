"""Who may read and write what in etcd: users by the name in their certificate, each with a role, and asking for them.

    await ensure_rights(endpoints, {"agent-worker-1": (Right(where="machines/1", write=True), …)}, …, tls=root)

Promises: it makes what is wanted, takes away what is too much, touches no user that is not ours to say of, and can be
run again at any time, also while the cluster works. From the first time on etcd refuses whoever it does not know.

Names come from certificates only (etcd's `client-cert-auth`); no user has a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inaetics.errors import InaeticsError
from inaetics.store.endpoints import Tls
from inaetics.store.keys import encode, prefix_range
from inaetics.tasks import TaskGroup

if TYPE_CHECKING:
    from inaetics.store.wire import Wire

ROOT = "root"
"""etcd's own name for the role that may everything, and for a user that must exist; no certificate bears it."""

_PARALLEL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What may be done below `where` when it ends in `/`, and to the key `where` otherwise."""

    where: str
    write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """`roles`: role → its rights. `users`: name in a certificate → its role, which may be `root`."""

    roles: Mapping[str, tuple[Right, ...]]
    users: Mapping[str, str]


async def ensure_rights(
    endpoints: Sequence[str], wanted: Rights, *, tls: Tls, ours: Callable[[str], bool], timeout_s: float = 10.0
) -> int:
    """Make users and roles be as `wanted` and let etcd ask for them; returns how much was changed.

    Users and roles that are not wanted are removed when they are `ours`. `tls` is the certificate of a root user.
    """
    from inaetics.store.etcd import open_to

    async with open_to(endpoints, tls=tls, timeout_s=timeout_s) as wire:
        return await _Clerk(wire, wanted, ours).ensure()


class _Clerk:
    """Changes rights one by one; those that do not depend on each other side by side."""

    def __init__(self, wire: Wire, wanted: Rights, ours: Callable[[str], bool]) -> None:
        from inaetics.store import schema as rpc

        self._rpc: Any = rpc
        self._wire = wire
        self._wanted = wanted
        self._ours = ours
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._changes = 0

    async def ensure(self) -> int:
        roles = {ROOT: (), **self._wanted.roles}
        users = {ROOT: ROOT, **self._wanted.users}
        there = set((await self._ask("RoleList", self._rpc.AuthRoleListRequest())).roles)
        people = set((await self._ask("UserList", self._rpc.AuthUserListRequest())).users)
        await self._all(self._ensure_role(name, rights, name in there) for name, rights in roles.items())
        await self._all(self._ensure_user(name, role, name in people) for name, role in users.items())
        surplus = sorted(name for name in people - users.keys() if self._ours(name))
        await self._all(self._change("UserDelete", self._rpc.AuthUserDeleteRequest(name=name)) for name in surplus)
        gone = sorted(name for name in there - roles.keys() if self._ours(name))
        await self._all(self._change("RoleDelete", self._rpc.AuthRoleDeleteRequest(role=name)) for name in gone)
        await self._ask("AuthEnable", self._rpc.AuthEnableRequest())  # etcd lets it pass when it was so before
        return self._changes

    async def _ensure_role(self, name: str, rights: Iterable[Right], there: bool) -> None:
        wanted = {_range(right): right.write for right in rights}
        found: dict[tuple[bytes, bytes], int] = {}
        if there:
            answer = await self._ask("RoleGet", self._rpc.AuthRoleGetRequest(role=name))
            found = {(perm.key, perm.range_end): perm.permType for perm in answer.perm}
        else:
            await self._change("RoleAdd", self._rpc.AuthRoleAddRequest(name=name))
        if name == ROOT:
            return
        for key, end in sorted(found.keys() - wanted.keys()):
            revoke = self._rpc.AuthRoleRevokePermissionRequest(role=name, key=key, range_end=end)
            await self._change("RoleRevokePermission", revoke)
        for (key, end), write in sorted(wanted.items()):
            kind = _READWRITE if write else _READ
            if found.get((key, end)) != kind:
                grant = self._rpc.AuthRoleGrantPermissionRequest(name=name)
                grant.perm.permType, grant.perm.key, grant.perm.range_end = kind, key, end
                await self._change("RoleGrantPermission", grant)

    async def _ensure_user(self, name: str, role: str, there: bool) -> None:
        held: set[str] = set()
        if there:
            held = set((await self._ask("UserGet", self._rpc.AuthUserGetRequest(name=name))).roles)
        else:
            request = self._rpc.AuthUserAddRequest(name=name)
            request.options.no_password = True
            await self._change("UserAdd", request)
        for surplus in sorted(held - {role}):
            await self._change("UserRevokeRole", self._rpc.AuthUserRevokeRoleRequest(name=name, role=surplus))
        if role not in held:
            await self._change("UserGrantRole", self._rpc.AuthUserGrantRoleRequest(user=name, role=role))

    async def _change(self, method: str, request: Any) -> None:
        try:
            await self._ask(method, request)
        except InaeticsError as error:
            if not str(error.__cause__).count(_DONE):  # sent again after its answer was lost
                raise
        self._changes += 1

    async def _ask(self, method: str, request: Any) -> Any:
        async with self._slots:
            return await self._wire.call(
                self._rpc.auth(method),
                request,
                what=f"cannot set rights in the store ({method})",
            )

    async def _all(self, tasks: Iterable[Any]) -> None:
        try:
            async with TaskGroup() as group:
                for each in tasks:
                    group.create_task(each, name="rights")
        except* InaeticsError as errors:
            raise errors.exceptions[0] from None


_DONE = "already exists"
_READ, _READWRITE = 0, 2
"""`Permission.Type` of etcd's auth.proto."""


def _range(right: Right) -> tuple[bytes, bytes]:
    return prefix_range(right.where) if right.where.endswith("/") else (encode(right.where), b"")
