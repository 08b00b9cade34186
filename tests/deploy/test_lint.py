"""What lies in deploy/ passes the checkers of the programs that will read it."""

import re

import pytest
from deploy_tools import DEPLOY, run, tool

from support.cache import ROOT


def test_dockerfile_follows_hadolint() -> None:
    run(tool("hadolint"), DEPLOY / "docker" / "Dockerfile")


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


@pytest.mark.parametrize("table", ["dependencies", "remote", "tflite"])
def test_images_have_every_requirement_of_the_server(table: str) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.search(rf"^{table} = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
    assert listed is not None
    locked = (DEPLOY / "docker" / "requirements" / "runtime.txt").read_text()
    for name in re.findall(r'"([A-Za-z0-9_-]+)', listed[1]):
        if name != "tensorflow":
            assert re.search(rf"^{name.replace('_', '-')}==", locked, re.MULTILINE), (
                f"{name}: run lock.sh"
            )


def test_compose_file_is_a_project_with_a_server_for_either_device() -> None:
    services = run(tool("manifests"), DEPLOY / "docker" / "docker-compose.yml").split("\n")
    for service in ("server-cpu", "server-gpu", "prometheus", "grafana"):
        assert f"compose service {service}" in services


def test_workflows_follow_actionlint() -> None:
    run(tool("actionlint"), *(ROOT / ".github" / "workflows").glob("*.yml"))
