"""Every recorded case that applies today, replayed against a real server: answer for answer."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from case_replay import differences
from case_scope import KNOWN_DEVIATIONS, LEFT_OUT, SERVED, model_of

from support.server import ServerProcess, StartServer

HERE = Path(__file__).parent


@functools.cache
def cases_by_group() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in ("grpc", "rest"):
        with (HERE / "recorded" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for case in map(json.loads, lines):
                groups.setdefault(case["group"], []).append(case)
    return groups


@pytest.fixture(scope="module")
def server_of(start_server: StartServer, recorded_models: Path) -> Callable[[str], ServerProcess]:
    """The server of a model, started when it is first asked for."""

    @functools.cache
    def server(model: str) -> ServerProcess:
        base = recorded_models / SERVED[model]
        return start_server(f"--model_name={model}", f"--model_base_path={base}")

    return server


@pytest.mark.parametrize("group", cases_by_group())
def test_group_is_answered_as_recorded(
    group: str, server_of: Callable[[str], ServerProcess]
) -> None:
    failures = []
    for case in cases_by_group()[group]:
        if case["id"] in LEFT_OUT:
            continue
        server = server_of(model_of(case))
        found = differences(case, server.grpc_port, server.rest_port)
        if case["id"] in KNOWN_DEVIATIONS:
            if not found:
                failures.append(f"{case['id']}: agrees now; drop it from KNOWN_DEVIATIONS")
        elif found:
            failures.append("\n    ".join([f"{case['id']} ({case['what']})", *found]))
    assert not failures, f"{len(failures)} cases differ\n" + "\n".join(failures)


def test_exceptions_name_recorded_cases() -> None:
    ids = {case["id"] for cases in cases_by_group().values() for case in cases}
    assert LEFT_OUT.keys() | KNOWN_DEVIATIONS.keys() <= ids
