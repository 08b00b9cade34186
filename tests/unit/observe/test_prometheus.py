"""Both dialects of Prometheus' text format."""

import pytest

from fastserve.observe.access_log import trace_id
from fastserve.observe.instruments import Counter, Histogram, exponential
from fastserve.observe.prometheus import Family, HistogramSample, render, render_as_upstream


def test_upstream_dialect_has_colons_and_leaves_newlines_alone() -> None:
    family = Family("/a/b-c", "counter", "", [((("x", 'q"\\\n'),), 5)])
    assert render_as_upstream([family]) == (b'# TYPE :a:b:c counter\n:a:b:c{x="q\\"\\\\\n"} 5\n')


def test_upstream_dialect_orders_by_name_and_labels_and_shows_empty_families() -> None:
    samples = [((("m", "b"),), 1), ((("m", "a"),), 2)]
    families = [Family("/z", "gauge"), Family("/a", "counter", "", samples)]
    assert render_as_upstream(families).decode().splitlines() == [
        "# TYPE :a counter",
        ':a{m="a"} 2',
        ':a{m="b"} 1',
        "# TYPE :z gauge",
    ]


def test_upstream_histogram_is_cumulative_with_six_digits() -> None:
    sample = HistogramSample((10.0, 188.9568, 1274820.0), (1, 0, 2, 1), 12345678.0)
    assert render_as_upstream([Family("h", "histogram", "", [((), sample)])]).decode() == (
        "# TYPE h histogram\n"
        'h_bucket{le="10"} 1\n'
        'h_bucket{le="188.957"} 1\n'
        'h_bucket{le="1.27482e+06"} 3\n'
        'h_bucket{le="+Inf"} 4\n'
        "h_sum{} 1.23457e+07\n"
        "h_count{} 4\n"
    )


def test_own_dialect_has_help_escapes_newlines_and_leaves_out_what_is_empty() -> None:
    families = [
        Family("a", "counter", "what it is", [((("x", 'q"\\\n'),), 5), ((("x", ""),), 2)]),
        Family("b", "gauge", "nothing"),
        Family("c", "gauge", "one", [((), 1.5)]),
    ]
    assert render(families).decode().splitlines() == [
        "# HELP a what it is",
        "# TYPE a counter",
        'a{x=""} 2',
        'a{x="q\\"\\\\\\n"} 5',
        "# HELP c one",
        "# TYPE c gauge",
        "c 1.5",
    ]


def test_name_that_is_no_utf8_passes_through() -> None:
    family = Family("a", "counter", "", [((("m", "\udcff"),), 1)])
    assert b'm="\xff"' in render_as_upstream([family])


def test_instruments_keep_series_by_label_values() -> None:
    counter = Counter("model")
    counter.add("m")
    counter.add("m", amount=2)
    counter.add("n")
    assert counter.samples() == [([("model", "m")], 3), ([("model", "n")], 1)]
    histogram = Histogram(exponential(1, 2, 3), "model")
    for value in (0.5, 1, 4, 100):
        histogram.record(value, "m")
    ((labels, sample),) = histogram.samples()
    assert labels == [("model", "m")]
    assert sample == HistogramSample((1, 2, 4), (1, 1, 0, 2), 105.5)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", "a" * 32),
        (f"cc-{'a' * 32}-{'b' * 16}-01-later", "a" * 32),
        (f"00-{'0' * 32}-{'b' * 16}-01", ""),
        (f"00-{'A' * 32}-{'b' * 16}-01", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_trace_id_is_that_of_a_valid_traceparent(header: str, found: str) -> None:
    assert trace_id(header) == found
