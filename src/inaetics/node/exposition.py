"""Prometheus' text format, as small as an agent needs it; pure.

The library for it would be imported by every agent, for one page that most never serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KIND = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]
"""Labels and a value."""

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name. `name` is whole, with `_total` for a counter; `kind` is "counter" or "gauge"."""

    name: str
    kind: str
    words: str
    samples: Iterable[Sample]


def one(name: str, kind: str, words: str, value: float) -> Family:
    """A family with a single value."""
    return Family(name, kind, words, [({}, value)])


def text(families: Iterable[Family]) -> str:
    """The families as Prometheus reads them."""
    lines: list[str] = []
    for family in families:
        words = family.words.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {family.name} {words}.", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "".join(line + "\n" for line in lines)


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _number(value: float) -> str:
    """Every digit of it: a counter that is rounded stands still, and then jumps."""
    return repr(float(value)).replace("inf", "Inf").replace("nan", "NaN").removesuffix(".0")
