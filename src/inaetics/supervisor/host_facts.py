"""What specifiers stand for on a host: who it is, where its units' directories are, and who runs its supervisor."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping

from inaetics.supervisor.directories import Places
from inaetics.supervisor.procfs import boot_id
from inaetics.units.execution import DirectoryKind
from inaetics.units.specifiers import Host


def host_facts(environment: Mapping[str, str], places: Places) -> Host:
    """Read what there is to know; `environment` is the host's."""
    user = _user()
    temporary = environment.get("TMPDIR", "")
    return Host(
        machine_id=environment.get("INAETICS_MACHINE_ID", ""),
        name=environment.get("INAETICS_HOST", ""),
        boot_id=boot_id().replace("-", ""),
        kernel=os.uname().release,
        runtime=places.root(DirectoryKind.RUNTIME),
        state=places.root(DirectoryKind.STATE),
        cache=places.root(DirectoryKind.CACHE),
        logs=places.root(DirectoryKind.LOGS),
        configuration=places.root(DirectoryKind.CONFIGURATION),
        temporary=temporary or "/tmp",
        large_temporary=temporary or "/var/tmp",
        user=user.pw_name,
        uid=str(user.pw_uid),
        group=_group(user.pw_gid),
        gid=str(user.pw_gid),
        home=user.pw_dir,
        shell=user.pw_shell or "/bin/sh",
    )


def places_in(environment: Mapping[str, str]) -> Places:
    """Where a host's units have their directories, as its environment says it to others than its supervisor."""
    return Places(
        lasting=environment.get("INAETICS_UNITS_STATE", ""),
        runtime=environment.get("INAETICS_UNITS_RUN", ""),
    )


def _user() -> pwd.struct_passwd:
    """Who runs this process; a number without an account has no other name."""
    uid, gid = os.getuid(), os.getgid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return pwd.struct_passwd((str(uid), "x", uid, gid, "", os.environ.get("HOME", "/"), "/bin/sh"))


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
