"""The server that all clients are tried against."""

from pathlib import Path

import pytest

from support.grpc_client import Client
from support.layout import await_states, config_text, model_entry
from support.server import ServerProcess, StartServer

LABEL_AND_ALL_VERSIONS = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'


@pytest.fixture(scope="module")
def server(
    start_server: StartServer,
    recorded_models: Path,
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    """half_plus in versions 1 to 3, and shapes, heads and slow."""
    entries = [
        model_entry("half_plus", recorded_models / "half_plus", LABEL_AND_ALL_VERSIONS),
        model_entry("shapes", recorded_models / "shapes"),
        model_entry("heads", recorded_models / "heads"),
        model_entry("slow", models / "slow"),
    ]
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text(entries))
    started = start_server(
        f"--model_config_file={file}", "--allow_version_labels_for_unavailable_models"
    )
    with Client(started.grpc_port) as client:
        await_states(client, "half_plus", dict.fromkeys((1, 2, 3), "AVAILABLE"))
        for model, version in (("shapes", 1), ("heads", 7), ("slow", 1)):
            await_states(client, model, {version: "AVAILABLE"})
    return started
