"""Memory and cores in words. Pure."""

from __future__ import annotations

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def memory(size: int) -> str:
    """`1.5 GiB`: rounded up by a hundredth at most, else in a smaller unit."""
    for name, factor in _UNITS:
        tenths = -(-size * 10 // factor)
        if tenths >= 10 and (tenths * factor - size * 10) * 100 <= size * 10:
            return f"{_number(tenths / 10)} {name}"
    return f"{size} bytes"


def lack_of_memory(need: int, free: int, total: int) -> str:
    """`needs 2 GiB of memory, 1.2 of 4 GiB are free`: in a unit in which the lack can be seen."""
    name, factor = _unit_of(min(total, need - free))
    free = max(free, 0)
    return (
        f"needs {_up(need, factor)} {name} of memory, {_down(free, factor)} of {_down(total, factor)} {name} are free"
    )


def cores(cpu: int) -> str:
    """`0.5 cores`, from thousandths."""
    return f"{_number(cpu / 1000, digits=3)} {'core' if cpu == 1000 else 'cores'}"


def lack_of_cores(need: int, free: int, total: int) -> str:
    """`needs 2 cores, 0.5 of 4 are free`, from thousandths."""
    left, all_of_them = _number(max(free, 0) / 1000, digits=3), _number(total / 1000, digits=3)
    return f"needs {cores(need)}, {left} of {all_of_them} are free"


def _unit_of(size: int) -> tuple[str, int]:
    """The largest unit of which `size` is at least a tenth."""
    return next(((name, factor) for name, factor in _UNITS if size * 10 >= factor), ("bytes", 1))


def _down(size: int, factor: int) -> str:
    return str(size) if factor == 1 else _number(size * 10 // factor / 10)


def _up(size: int, factor: int) -> str:
    return str(size) if factor == 1 else _number(-(-size * 10 // factor) / 10)


def _number(value: float, *, digits: int = 1) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".")
