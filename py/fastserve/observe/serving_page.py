"""The Prometheus page of TensorFlow Serving: its metrics, names and format.

TensorFlow's own metrics (/tensorflow/core/...) are not on it: the C library does not give them out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import cast

from fastserve.observe import instruments
from fastserve.observe.instruments import exponential
from fastserve.observe.prometheus import Family, Labels, render_as_upstream
from fastserve.observe.snapshot import LATENCY_LIMITS_NS, Merged, Snapshot, histogram, read

_QUEUE_LIMITS_NS = exponential(100_000, 1.2, 52)
_SIZE_LIMITS = exponential(1, 2, 14)
_EXAMPLE_LIMITS = exponential(1, 2, 15)
_NS_PER_US = 1000

_RUN_METHODS = ("Predict", "Classify", "Regress")
"""MultiInference is in none of the metrics of requests and runs."""


def page() -> bytes:
    """Returns the page. Any thread."""
    return render_as_upstream(_families())


def counter_values(names: Iterable[str]) -> dict[str, int]:
    """Returns the value of each metric's first series; 0 for what is no counter, or has no series.

    Names are TensorFlow's own, as /tensorflow/serving/request_count. That is how TensorFlow Serving
    tells of metrics in a ReloadConfigResponse (model_servers/model_service_impl.cc). Any thread.
    """
    values = dict.fromkeys(names, 0)
    for family in _families() if values else ():
        if family.name in values and family.kind == "counter" and family.samples:
            _, count = family.ordered()[0]
            values[family.name] = cast(int, count)
    return values


def _families() -> list[Family]:
    snapshot = read()
    return [
        *_requests(snapshot),
        _runs(snapshot),
        *_examples(snapshot),
        *_warmups(),
        *_batching(snapshot),
        Family("/tensorflow/serving/request_log_count", "counter"),
    ]


def _requests(snapshot: Snapshot) -> tuple[Family, Family]:
    counts: Counter[tuple[str, str]] = Counter()
    latencies = Merged()
    for row in (*snapshot.requests, *snapshot.retired_requests):
        rest = row.protocol == "rest"
        if row.method not in _RUN_METHODS and not rest:
            continue
        counts[row.model, row.code] += row.count
        if row.code == "OK":
            api = row.method.lower() if rest else row.method
            latencies.add((row.model, api, "REST" if rest else "GRPC"), row.latency)
    count = Family("/tensorflow/serving/request_count", "counter")
    for (model, status), number in counts.items():
        count.samples.append(((("model_name", model), ("status", status)), number))
    latency = Family("/tensorflow/serving/request_latency", "histogram")
    for (model, api, entrypoint), data in latencies.items():
        labels = (("model_name", model), ("API", api), ("entrypoint", entrypoint))
        latency.samples.append((labels, histogram(data, LATENCY_LIMITS_NS, _NS_PER_US)))
    return count, latency


def _runs(snapshot: Snapshot) -> Family:
    merged = Merged()
    for row in (*snapshot.runs, *snapshot.retired_runs):
        if row.method in _RUN_METHODS:
            merged.add((row.model, row.method), row.latency)
    family = Family("/tensorflow/serving/runtime_latency", "histogram")
    for (model, api), data in merged.items():
        labels = (("model_name", model), ("API", api), ("runtime", "TF1"))
        family.samples.append((labels, histogram(data, LATENCY_LIMITS_NS, _NS_PER_US)))
    return family


def _examples(snapshot: Snapshot) -> tuple[Family, Family]:
    counts = Family("/tensorflow/serving/request_example_counts", "histogram")
    total = Family("/tensorflow/serving/request_example_count_total", "counter")
    for model, data in snapshot.native["examples"].items():
        labels: Labels = (("model", model),)
        counts.samples.append((labels, histogram(data, _EXAMPLE_LIMITS)))
        total.samples.append((labels, data[1]))
    return counts, total


def _warmups() -> tuple[Family, Family]:
    latency = Family("/tensorflow/serving/model_warmup_latency", "histogram")
    latency.samples.extend(instruments.warmup_micros.samples())
    records = Family("/tensorflow/serving/model_warmup_records_read", "counter")
    records.samples.extend(instruments.warmup_records.samples())
    return latency, records


def _batching(snapshot: Snapshot) -> list[Family]:
    """Returns the families of batching; those of sizes exist once there has been a batch."""
    prefix = "/tensorflow/serving/batching_session/"
    native = snapshot.native
    queuing = Family(f"{prefix}queuing_latency", "histogram")
    runs = Family(f"{prefix}wrapped_run_count", "counter")
    families = [queuing, runs]
    if sum(native["queuing_latency"][0]):
        sample = histogram(native["queuing_latency"], _QUEUE_LIMITS_NS, _NS_PER_US)
        queuing.samples.append(((("thread_pool_name", ""),), sample))
    if number := sum(native["processed_batch_size"][0]):
        runs.samples.append(((), number))
    for name in ("input_batch_size", "processed_batch_size"):
        if sum(native[name][0]):
            family = Family(prefix + name, "histogram")
            family.samples.append(((), histogram(native[name], _SIZE_LIMITS)))
            families.append(family)
    if native["padding_size"]:
        padding = Family(f"{prefix}padding_size", "histogram")
        for rows, data in native["padding_size"].items():
            labels = (("execution_batch_size", str(rows)),)
            padding.samples.append((labels, histogram(data, _SIZE_LIMITS)))
        families.append(padding)
    return families
