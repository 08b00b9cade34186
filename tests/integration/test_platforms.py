"""--platform_config_file: each model is loaded as its platform says."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from support.grpc_client import Client, failure
from support.layout import await_states, config_text, model_entry
from support.server import ServerProcess, StartServer

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
MAP = """
platform_configs {
  key: 'tensorflow'
  value { source_adapter_config {
    [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {
      legacy_config {
        session_config { inter_op_parallelism_threads: -1 }
        batching_parameters { num_batch_threads { value: 1 } }
      }
    }
  } }
}
platform_configs {
  key: 'tagged'
  value { source_adapter_config {
    [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {
      legacy_config { saved_model_tags: 'gpu' }
    }
  } }
}
"""


def models(base: Path, **platforms: str) -> str:
    """A config of one model a keyword, all of the same base path."""
    return config_text(
        model_entry(name, base).replace('"tensorflow"', f'"{platform}"')
        for name, platform in platforms.items()
    )


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    folder = tmp_path_factory.mktemp("platforms")
    (folder / "platforms.config").write_text(MAP)
    both = models(recorded_models / "half_plus", plain="tensorflow", other="tagged")
    (folder / "models.config").write_text(both)
    return start_server(
        f"--model_config_file={folder / 'models.config'}",
        f"--platform_config_file={folder / 'platforms.config'}",
        "--saved_model_tags=none",
        "--max_num_load_retries=0",
    )


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.grpc_port) as made:
        yield made


def test_each_model_is_loaded_as_its_platform_says(client: Client) -> None:
    assert client.values("plain", {"x": [2.0]})["y"] == [5.0]
    assert failure(lambda: client.predict("plain", {"x": 2.0})) == (
        INVALID_ARGUMENT,
        "Batching Run() input tensors must have at least one dimension",
    )
    (status,) = client.status("other").model_version_status
    assert status.status.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.status.error_message.startswith(
        "Could not find meta graph def matching supplied tags: { gpu }"
    )


def test_flags_that_the_file_replaces_are_warned_of(server: ServerProcess) -> None:
    assert "--saved_model_tags has no effect: --platform_config_file replaces it\n" in server.log()


def test_reload_may_use_the_platforms_but_not_change_a_models(
    client: Client, recorded_models: Path
) -> None:
    base = recorded_models / "half_plus"
    for platforms, text in (
        (
            {"plain": "tagged"},
            "Illegal to change a model's platform. For model plain platform was tensorflow and new "
            "platform requested is tagged",
        ),
        ({"new": "tensorrt"}, "Model new requests unsupported platform tensorrt"),
    ):
        config = models(base, **platforms)
        assert failure(lambda c=config: client.reload(c)) == (INVALID_ARGUMENT, text)
    client.reload(models(base, plain="tensorflow", new="tensorflow"))
    await_states(client, "new", {3: "AVAILABLE"})
    assert client.values("plain", {"x": [2.0]})["y"] == [5.0]
