"""Prometheus' text format, read back by Prometheus' own library."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from inaetics.node.exposition import Family, one, text


def test_what_is_written_is_read_back() -> None:
    labels = {"agent": "celix@1", "unit": 'say "µs"\\\nand more'}
    written = text(
        [
            one("inaetics_things", "gauge", "Things; one\nor \\ more", 1.5),
            Family("inaetics_bytes_total", "counter", "Bytes", [(labels, 123456789012.0), ({}, math.inf)]),
            Family("inaetics_none", "gauge", "Nothing", []),
        ]
    )
    things, count, none = text_string_to_metric_families(written)
    assert (things.name, things.type, things.documentation) == ("inaetics_things", "gauge", "Things; one\nor \\ more.")
    assert things.samples[0].value == 1.5
    assert [(sample.labels, sample.value) for sample in count.samples] == [(labels, 123456789012.0), ({}, math.inf)]
    assert none.samples == []


def test_a_large_counter_keeps_every_digit() -> None:
    assert "inaetics_x_total 123456789.25\n" in text([one("inaetics_x_total", "counter", "X", 123456789.25)])
