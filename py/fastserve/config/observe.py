"""What an operator is shown: metrics, logs, traces, and a drain that load balancers notice."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from fastserve.config.text_proto import read_text_proto
from fastserve.errors import ConfigError

LOG_FORMATS = ("text", "json")
STDERR = "-"
"""As a path of the access log."""

_SERVING_PAGE = "/monitoring/prometheus/metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveConfig:
    """Metrics, logs, traces and drain."""

    metrics: bool = True
    """Show fastserve's metrics at /metrics of the REST port."""
    serving_page: str = ""
    """Path of TensorFlow Serving's page of metrics; "": none."""
    log_format: str = "text"
    """One of LOG_FORMATS."""
    access_log: str = ""
    """A file to append a line for each request to, or STDERR; "": none."""
    otlp_endpoint: str = ""
    """URL of the collector that traces are sent to, by OTLP over gRPC; "": no traces."""
    trace_sample_ratio: float = 0.01
    """Of the requests without a traceparent, the share that is traced."""
    drain_delay_s: float = 0.0
    """After a signal to stop, how long requests are still taken while health says otherwise."""

    def __post_init__(self) -> None:
        if self.log_format not in LOG_FORMATS:
            raise ConfigError(f"--log_format is {self.log_format!r}; it must be text or json")
        if self.otlp_endpoint and not re.fullmatch(r"https?://[^/\s]+/?", self.otlp_endpoint):
            raise ConfigError(
                f"--otlp_endpoint is {self.otlp_endpoint!r}; it must be a URL, as "
                "http://collector:4317"
            )
        if not 0 <= self.trace_sample_ratio <= 1:
            raise ConfigError(
                f"--trace_sample_ratio is {self.trace_sample_ratio}; it must be from 0 to 1"
            )
        if not 0 <= self.drain_delay_s < math.inf:
            raise ConfigError(
                f"--drain_delay_seconds is {self.drain_delay_s}; it must be 0 or more"
            )


def read_monitoring_path(path: str) -> str:
    """Returns the path of the page that a MonitoringConfig in text format asks for; "": none.

    Raises ServingError as read_text_proto() does.
    """
    from fastserve import protos

    config = read_text_proto(path, protos.MonitoringConfig).prometheus_config
    return (config.path or _SERVING_PAGE) if config.enable else ""
