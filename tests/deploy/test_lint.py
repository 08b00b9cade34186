"""What lies in deploy/ passes the checkers of the programs that will read it."""

import json
import re
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from deploy_tools import DEPLOY, free_port, run, tool

from support.exporting import ROOT
from support.waiting import wait_until

MONITORING = DEPLOY / "monitoring"


def test_dockerfiles_follow_hadolint() -> None:
    run(tool("hadolint"), DEPLOY / "docker" / "Dockerfile", DEPLOY / "docker" / "Dockerfile.gpu")


def test_shell_scripts_follow_shellcheck() -> None:
    scripts = [*DEPLOY.rglob("*.sh"), *(ROOT / "tests" / "deploy").glob("*.sh")]
    run(tool("shellcheck"), *scripts)


def test_locked_requirements_are_exact_and_hashed() -> None:
    for lock in (DEPLOY / "docker" / "requirements").glob("*.txt"):
        requirements = lock.read_text().replace("\\\n", "").splitlines()
        assert requirements
        for requirement in requirements:
            assert "==" in requirement, f"{lock.name}: {requirement}"
            assert "--hash=sha256:" in requirement, f"{lock.name}: {requirement}"


def test_images_have_every_requirement_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = (DEPLOY / "docker" / "requirements" / "runtime.txt").read_text()
    for requirement in project["project"]["dependencies"]:
        name = requirement.partition(">")[0]
        if name != "tensorflow":
            assert re.search(rf"^{name}==", locked, re.MULTILINE), f"{name}: run lock.sh"


def test_compose_file_is_a_project_with_a_server_for_either_device() -> None:
    services = run(tool("manifests"), DEPLOY / "docker" / "docker-compose.yml").split("\n")
    for service in ("server-cpu", "server-gpu", "prometheus", "grafana"):
        assert f"compose service {service}" in services


def test_workflows_follow_actionlint() -> None:
    run(tool("actionlint"), *(ROOT / ".github" / "workflows").glob("*.yml"))


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
