"""The page of fastserve's own metrics, /metrics."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from fastserve.observe import instruments
from fastserve.observe.prometheus import Family, HistogramSample, Labels, render
from fastserve.observe.snapshot import (
    LATENCY_LIMITS_NS,
    PROTOCOLS,
    Data,
    Snapshot,
    histogram,
    read,
)

_NS = 10**9
_ROW_LIMITS = instruments.exponential(1, 2, 14)


def page(connections: Mapping[str, int], ready: Mapping[str, bool]) -> bytes:
    """Returns the page. Any thread.

    `connections` are open ones by protocol, `ready` says of each configured model whether it has a
    version that serves.
    """
    snapshot = read()
    return render(
        [
            *_requests(snapshot),
            _runs(snapshot),
            _replicas(snapshot),
            *_queues(snapshot),
            *_process(snapshot, connections),
            *_models(ready),
        ]
    )


def _seconds(data: Data) -> HistogramSample:
    return histogram(data, LATENCY_LIMITS_NS, _NS)


def _requests(snapshot: Snapshot) -> list[Family]:
    latency = Family(
        "fastserve_request_duration_seconds",
        "histogram",
        "From the last byte of a request to its answer; version and signature are empty where "
        "none was found.",
    )
    sizes: dict[str, Counter[tuple[str, str, str]]] = {"request": Counter(), "response": Counter()}
    for row in snapshot.requests:
        labels = (
            ("model", row.model),
            ("version", row.version),
            ("signature", row.signature),
            ("method", row.method),
            ("protocol", row.protocol),
            ("code", row.code),
        )
        latency.samples.append((labels, _seconds(row.latency)))
        key = (row.model, row.version, row.protocol)
        sizes["request"][key] += row.bytes_in
        sizes["response"][key] += row.bytes_out
    families = [latency]
    for what, by_key in sizes.items():
        help_text = f"Bytes of {what} messages and bodies, without headers."
        family = Family(f"fastserve_{what}_bytes_total", "counter", help_text)
        for (model, version, protocol), total in by_key.items():
            names = (("model", model), ("version", version), ("protocol", protocol))
            family.samples.append((names, total))
        families.append(family)
    return families


def _runs(snapshot: Snapshot) -> Family:
    family = Family(
        "fastserve_run_duration_seconds",
        "histogram",
        "Runs of the session that went well, warm-up and the wait for a batch included.",
    )
    for row in snapshot.runs:
        labels = (
            ("model", row.model),
            ("version", row.version),
            ("signature", row.signature),
            ("method", row.method),
        )
        family.samples.append((labels, _seconds(row.latency)))
    return family


def _replicas(snapshot: Snapshot) -> Family:
    family = Family(
        "fastserve_replica_runs_total",
        "counter",
        "Runs, batches of requests counting once, by the replica that they went to; of models with "
        "several.",
    )
    for row in snapshot.replicas:
        labels = (("model", row.model), ("version", row.version), ("device", row.device))
        family.samples.append((labels, row.runs))
    return family


def _queues(snapshot: Snapshot) -> list[Family]:
    worker = Family(
        "fastserve_worker_queue_duration_seconds",
        "histogram",
        "How long requests waited for a worker thread.",
    )
    worker.samples.append(((), _seconds(snapshot.native["worker_queue"])))
    queued = Family(
        "fastserve_batch_queue_duration_seconds",
        "histogram",
        "How long requests waited to be taken into a batch.",
    )
    rows = Family("fastserve_batch_rows", "histogram", "Rows of a batch, padding included.")
    padding = Family(
        "fastserve_batch_padding_rows_total", "counter", "Rows that were added to fill batches."
    )
    for row in snapshot.batches:
        labels: Labels = (("model", row.model), ("version", row.version))
        if sum(row.rows[0]):
            queued.samples.append((labels, _seconds(row.queued)))
            rows.samples.append((labels, histogram(row.rows, _ROW_LIMITS)))
            padding.samples.append((labels, row.padding))
    return [worker, queued, rows, padding]


def _process(snapshot: Snapshot, connections: Mapping[str, int]) -> list[Family]:
    in_flight = Family(
        "fastserve_requests_in_flight", "gauge", "Requests for a model that have no answer yet."
    )
    open_ones = Family("fastserve_connections", "gauge", "Open connections.")
    for protocol, number in zip(PROTOCOLS, snapshot.native["in_flight"], strict=True):
        in_flight.samples.append(((("protocol", protocol),), number))
        open_ones.samples.append(((("protocol", protocol),), connections[protocol]))
    refused = Family(
        "fastserve_rest_refused_total",
        "counter",
        "Requests over REST that were refused before they were looked at.",
    )
    refused.samples.extend(instruments.rest_refused.samples())
    memory = Family(
        "fastserve_resident_memory_bytes", "gauge", "Memory of the process, all models included."
    )
    memory.samples.append(((), _resident_bytes()))
    dropped = Family(
        "fastserve_access_log_dropped_total", "counter", "Requests missing in the access log."
    )
    lost = snapshot.native["access_log_dropped"] + instruments.access_log_dropped.total()
    dropped.samples.append(((), lost))
    unlogged = Family(
        "fastserve_request_log_dropped_total", "counter", "Requests missing in request logs."
    )
    lost = snapshot.native["request_log_dropped"] + instruments.request_log_dropped.total()
    unlogged.samples.append(((), lost))
    untraced = Family(
        "fastserve_traces_dropped_total", "counter", "Traces for which the collector was too slow."
    )
    lost = snapshot.native["traces_dropped"] + instruments.traces_dropped.total()
    untraced.samples.append(((), lost))
    return [in_flight, open_ones, refused, memory, dropped, unlogged, untraced]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _models(ready: Mapping[str, bool]) -> list[Family]:
    serving = Family(
        "fastserve_model_ready", "gauge", "1 for a configured model with a version that serves."
    )
    for model, is_ready in ready.items():
        serving.samples.append(((("model", model),), int(is_ready)))
    loads = Family(
        "fastserve_model_loads_total", "counter", "Attempts to load a version, by outcome."
    )
    loads.samples.extend(instruments.model_loads.samples())
    load_seconds = Family(
        "fastserve_model_load_duration_seconds",
        "histogram",
        "Loads that went well, warm-up included.",
    )
    load_seconds.samples.extend(instruments.load_seconds.samples())
    unload_seconds = Family(
        "fastserve_model_unload_duration_seconds",
        "histogram",
        "Unloads, the wait for requests in flight included.",
    )
    unload_seconds.samples.extend(instruments.unload_seconds.samples())
    return [serving, loads, load_seconds, unload_seconds]
