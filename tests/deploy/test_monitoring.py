"""Prometheus with the shipped configuration, and the metrics that dashboard and alerts read."""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
import yaml
from deploy_tools import DEPLOY, free_port, run, tool

from support import slow
from support.grpc_client import Client
from support.rest import get
from support.server import StartServer
from support.waiting import wait_until

MONITORING = DEPLOY / "monitoring"


def test_prometheus_takes_its_configuration() -> None:
    run(tool("promtool"), "check", "config", MONITORING / "prometheus.yml")


@contextmanager
def _prometheus(scratch: Path) -> Iterator[str]:
    """A Prometheus without anything to scrape; yields its address."""
    config = scratch / "prometheus.yml"
    config.write_text("{}")
    port = free_port()
    command = [
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={scratch / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (scratch / "log").open("wb") as log, Popen(command, stdout=log, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _is_ready(url), 30.0, "Prometheus is ready")
            yield url
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def pages(models: Path, start_server: StartServer) -> str:
    """What Prometheus reads of a server that has answered, with the shipped configuration."""
    server = start_server(
        *slow.flags(models), f"--monitoring_config_file={MONITORING / 'monitoring.config'}"
    )
    with Client(server.grpc_port) as client:
        slow.check(client.prediction.Predict(slow.request(0.001)), 0.001)
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    paths = [job.get("metrics_path", "/metrics") for job in jobs]
    return "".join(get(server.rest_port, path).body.decode() for path in paths)


def test_server_has_every_metric_of_dashboard_and_alerts(pages: str) -> None:
    queries = "\n".join(_expressions()) + (MONITORING / "alerts.yml").read_text()
    names = set(re.findall(r"fastserve_[a-z_]+|:tensorflow:serving:[a-z_]+", queries))
    assert names
    for name in names:
        assert re.search(rf"^{name}[{{ ]", pages, re.MULTILINE) or "_batch_" in name, name


def _expressions() -> list[str]:
    """The queries of the dashboard, as Grafana would send them."""
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "fastserve.json").read_text())
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$model", ".*")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    expressions = _expressions()
    assert expressions
    with _prometheus(tmp_path) as url:
        for expression in expressions:
            query = urllib.parse.urlencode({"query": expression})
            with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=10) as answer:
                assert json.load(answer)["status"] == "success", expression
