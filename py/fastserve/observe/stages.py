"""The parts of a request's way through the data plane."""

from __future__ import annotations

from fastserve import _native

STAGES = ("request", "receive", "queue", "parse", "decode", "queue", "batch", "run", "serialise")
"""Names of csrc/metrics/request_trace.h's stages, in order. A long REST body may wait twice."""


def server_timing(trace: _native.Trace | None, total_s: float) -> bytes:
    """Returns a Server-Timing header's line (W3C Server Timing), as `run;dur=1.2, total;dur=1.6`.

    In milliseconds; of the parts of `trace`, those of one name together, and of the whole.
    """
    durations: dict[str, float] = {}
    if trace is not None:
        # The event loop, not the data plane, sees a request begin and come.
        for name, (begun, ended) in list(zip(STAGES, trace[1], strict=True))[2:]:
            if 0 < begun <= ended:
                durations[name] = durations.get(name, 0.0) + (ended - begun) / 1e6
    durations["total"] = total_s * 1e3
    metrics = ", ".join(f"{name};dur={millis:.3f}" for name, millis in durations.items())
    return f"Server-Timing: {metrics}\r\n".encode()
