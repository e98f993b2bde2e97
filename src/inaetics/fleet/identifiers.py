"""What the fleet's values are named by. Pure.

A module of its own, because the values of rollouts are part of the fleet's (`model`) and name units, too.
"""

from __future__ import annotations

from typing import NewType

MachineId = NewType("MachineId", str)
"""32 hexadecimal digits, as in /etc/machine-id."""

UnitName = NewType("UnitName", str)
"""A whole name with its kind, in its usual form: `felix@1.service`."""
