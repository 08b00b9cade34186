"""Every recorded case, replayed against a real server on all its models: answer for answer."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from case_replay import BASE, Server, differences
from deviations import ALSO_RIGHT, KNOWN_DEVIATIONS

from support.grpc_client import Client
from support.layout import await_states
from support.server import StartServer

RECORDED = Path(__file__).parent / "recorded"


@functools.cache
def cases_by_group() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in ("grpc", "rest"):
        with (RECORDED / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for case in map(json.loads, lines):
                groups.setdefault(case["group"], []).append(case)
    return groups


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server of the recordings, all its versions loaded."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    text = (RECORDED / "models.config").read_text(encoding="utf-8")
    file.write_text(text.replace(BASE, str(recorded_models)), encoding="utf-8")
    monitoring = file.with_name("monitoring.config")
    monitoring.write_text("prometheus_config { enable: true }")
    started = start_server(
        f"--model_config_file={file}",
        f"--monitoring_config_file={monitoring}",
        "--allow_version_labels_for_unavailable_models",
        "--max_num_load_retries=0",
        "--load_retry_interval_micros=0",
    )
    with Client(started.grpc_port) as client:
        await_states(client, "half_plus", dict.fromkeys((1, 2, 3), "AVAILABLE"))
        await_states(client, "half_plus_two_latest", {2: "AVAILABLE", 3: "AVAILABLE"})
        await_states(client, "half_plus_picked", {1: "AVAILABLE", 3: "AVAILABLE"})
    return Server(started.grpc_port, started.rest_port, recorded_models)


@pytest.mark.parametrize("group", cases_by_group())
def test_group_is_answered_as_recorded(group: str, server: Server) -> None:
    failures = []
    for case in cases_by_group()[group]:
        found = differences(case, server)
        if case["id"] in KNOWN_DEVIATIONS:
            if not found:
                failures.append(f"{case['id']}: agrees now; drop it from KNOWN_DEVIATIONS")
        elif found:
            failures.append("\n    ".join([f"{case['id']} ({case['what']})", *found]))
    assert not failures, f"{len(failures)} cases differ\n" + "\n".join(failures)


def test_exceptions_name_recorded_cases() -> None:
    ids = {case["id"] for cases in cases_by_group().values() for case in cases}
    assert KNOWN_DEVIATIONS.keys() | ALSO_RIGHT.keys() <= ids
