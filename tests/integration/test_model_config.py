"""Several models from one config file: policies, labels, and every way of reloading it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from support import rest
from support.grpc_client import Client, failure
from support.layout import (
    await_states,
    config_text,
    model_entry,
    publish,
    retire,
    write_whole,
)
from support.server import ServerProcess, StartServer, run_to_end
from support.waiting import wait_until

AVAILABLE, END = "AVAILABLE", "END"
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
UNKNOWN = grpc.StatusCode.UNKNOWN

#: half_plus/N computes x / 2 + N + 1.
SECONDS = 30.0


def served(client: Client, model: str, **spec: object) -> int:
    """The version that answers, having checked that it answers as that version does."""
    response = client.predict(model, {"x": [4.0]}, **spec)
    version = int(response.model_spec.version.value)
    assert response.outputs["y"].float_val[0] == 2.0 + version + 1
    return version


class Served:
    """A server on a config file of its own, which tests rewrite."""

    def __init__(self, start: StartServer, folder: Path, text: str, *flags: str) -> None:
        self.file = folder / "models.config"
        self.file.write_text(text)
        self.server: ServerProcess = start(f"--model_config_file={self.file}", *flags)
        self.client = Client(self.server.grpc_port)

    def close(self) -> None:
        self.client.channel.close()
        self.server.stop()


@pytest.fixture
def half_plus(recorded_models: Path) -> Path:
    """Versions 1, 2 and 3."""
    return recorded_models / "half_plus"


@pytest.fixture
def base(half_plus: Path, tmp_path: Path) -> Path:
    """A base path of the test's own with version 1."""
    path = tmp_path / "m"
    publish(half_plus / "1", path, "1")
    return path


CLASSIC = """
model_config_list {{
  config {{
    name: 'model1'
    base_path: '{0}'
    model_platform: 'tensorflow'
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: 'stable' value: 1 }}
    version_labels {{ key: 'canary' value: 2 }}
  }}
  config {{ name: "model2", base_path: "{0}", model_platform: "tensorflow",
           model_version_policy: {{ all: {{}} }} }}
  config {{ # the two highest
    name: 'model3' base_path: '{0}' model_platform: 'tensorflow'
    model_version_policy {{ latest {{ num_versions: 2 }} }}
    logging_config {{ sampling_config {{ sampling_rate: 0.1 }} }}
  }}
}}
"""


@pytest.fixture(scope="module")
def classic(
    start_server: StartServer,
    recorded_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    text = CLASSIC.format(recorded_models / "half_plus")
    made = Served(start_server, tmp_path_factory.mktemp("classic"), text)
    yield made
    made.close()


def test_classic_example_serves_as_written(classic: Served) -> None:
    client = classic.client
    await_states(client, "model1", {1: AVAILABLE, 2: AVAILABLE})
    await_states(client, "model2", {1: AVAILABLE, 2: AVAILABLE, 3: AVAILABLE})
    await_states(client, "model3", {2: AVAILABLE, 3: AVAILABLE})
    assert [served(client, f"model{i}") for i in (1, 2, 3)] == [2, 3, 3]
    assert served(client, "model2", version=1) == 1


def test_labels_are_reached_over_both_protocols(classic: Served) -> None:
    assert served(classic.client, "model1", label="stable") == 1
    assert served(classic.client, "model1", label="canary") == 2
    port = classic.server.rest_port
    for label, answer in (("stable", 3.0), ("canary", 4.0)):
        path = f"/v1/models/model1/labels/{label}:predict"
        assert rest.post(port, path, {"instances": [2.0]}).json() == {"predictions": [answer]}
    unknown = "Unrecognized servable version label: nope"
    assert failure(lambda: served(classic.client, "model1", label="nope")) == (
        INVALID_ARGUMENT,
        unknown,
    )
    answer = rest.post(port, "/v1/models/model2/labels/nope:predict", {"instances": [1.0]})
    assert (answer.status, answer.error) == (400, unknown)


def two_models(base: Path, half_plus: Path) -> tuple[str, str]:
    return model_entry("m", base), model_entry("n", half_plus)


@pytest.mark.parametrize("way", ["poll", "SIGHUP", "RPC"])
def test_reload_adds_removes_and_leaves_alone(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path, way: str
) -> None:
    m, n = two_models(base, half_plus)
    flags = ["--model_config_file_poll_wait_seconds=1"] if way == "poll" else []
    on = Served(start_server, tmp_path, config_text([m]), *flags)

    def reload(*entries: str) -> None:
        if way == "RPC":
            on.client.reload(config_text(entries))
            return
        write_whole(on.file, config_text(entries))
        if way == "SIGHUP":
            on.server.signal(signal.SIGHUP)

    assert served(on.client, "m") == 1
    reload(m, n)
    await_states(on.client, "n", {3: AVAILABLE})
    reload(n)
    await_states(on.client, "m", {1: END})
    assert failure(lambda: served(on.client, "m")) == (
        NOT_FOUND,
        "Servable not found for request: Latest(m)",
    )
    assert served(on.client, "n") == 3
    reload(m, n)
    await_states(on.client, "m", {1: AVAILABLE})
    assert on.server.log().count("Successfully loaded servable version {name: n version: 3}") == 1
    on.close()


@pytest.mark.parametrize(
    "text",
    [
        "hello, world",
        "",
        config_text(["config { name: 'x' }"])[:-4],
        config_text([model_entry("m", Path("/a")), model_entry("m", Path("/b"))]),
        config_text([model_entry("m", Path("relative"))]),
        config_text(["config { name: 'm' base_path: '/a' }"]),
        config_text(["config { name: 'm' base_path: '/a' model_platform: 'caffe' }"]),
        "# model_config_list { }",
        "\0\xff",
    ],
    ids=[
        "garbage",
        "empty",
        "partial",
        "twice",
        "relative",
        "no-platform",
        "platform",
        "comment",
        "binary",
    ],
)
def test_file_that_cannot_be_used_leaves_the_last_good_one_in_force(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path, text: str
) -> None:
    m, n = two_models(base, half_plus)
    on = Served(start_server, tmp_path, config_text([m]))
    on.file.write_text(text)
    on.server.signal(signal.SIGHUP)
    wait_until(
        lambda: "Failed to read ModelServerConfig file: " in on.server.log(),
        SECONDS,
        "the refusal is told",
    )
    assert served(on.client, "m") == 1
    write_whole(on.file, config_text([m, n]))
    on.server.signal(signal.SIGHUP)
    await_states(on.client, "n", {3: AVAILABLE})
    on.close()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, ["No such file or directory"]),
        ("", ["models.config"]),
        ("model_config_list { config { nme: 'm' } }", ["Invalid protobuf file", "1:", "nme"]),
        (
            config_text([model_entry("m", Path("/a"))] * 2),
            ["Illegal to list model m multiple times in config list"],
        ),
    ],
    ids=["missing", "empty", "unknown-field", "twice"],
)
def test_start_with_a_file_that_cannot_be_used_ends_with_255(
    tmp_path: Path, text: str | None, named: list[str]
) -> None:
    file = tmp_path / "models.config"
    if text is not None:
        file.write_text(text)
    ended = run_to_end("--port=0", f"--model_config_file={file}")
    assert ended.returncode == 255
    assert "Failed to start server. Error: " in ended.stderr
    assert [part for part in named if part not in ended.stderr] == []
    assert "Traceback" not in ended.stderr


def test_model_whose_path_is_missing_reports_its_own_error_and_blocks_nobody(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    m, n = two_models(base, half_plus)
    on = Served(start_server, tmp_path, config_text([m]))
    missing = tmp_path / "missing"
    code, text = failure(
        lambda: on.client.reload(config_text([m, model_entry("gone", missing), n]))
    )
    assert code == UNKNOWN
    assert text.startswith("1 model(s) did not become available: {{{name: gone} due to error: ")
    assert f"Could not find base path {missing} for servable gone" in text
    assert (served(on.client, "m"), served(on.client, "n")) == (1, 3)
    publish(half_plus / "2", missing, "2")
    await_states(on.client, "gone", {2: AVAILABLE})
    on.client.reload(config_text([n]))
    await_states(on.client, "gone", {2: END})
    on.close()


def test_version_that_fails_to_load_is_reported_and_the_configuration_stays(
    start_server: StartServer, tmp_path: Path, base: Path, recorded_models: Path
) -> None:
    on = Served(
        start_server,
        tmp_path,
        config_text([model_entry("m", base)]),
        "--max_num_load_retries=0",
    )
    broken = model_entry("broken", recorded_models / "broken")
    code, text = failure(lambda: on.client.reload(config_text([model_entry("m", base), broken])))
    assert code == UNKNOWN
    assert "{{name: broken version: 1} due to error: " in text
    assert on.client.states("broken") == {1: END}
    assert served(on.client, "m") == 1
    on.close()


def test_label_moves_only_once_its_version_is_available(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    def labelled(version: int) -> str:
        label = f"version_labels {{ key: 'hot' value: {version} }}"
        return config_text([model_entry("m", base, f"model_version_policy {{ all {{}} }} {label}")])

    on = Served(start_server, tmp_path, labelled(1))
    assert served(on.client, "m", label="hot") == 1
    assert failure(lambda: on.client.reload(labelled(2))) == (
        FAILED_PRECONDITION,
        "Request to assign label to version 2 of model m, which is not currently available for "
        "inference",
    )
    assert served(on.client, "m", label="hot") == 1
    publish(half_plus / "2", base, "2")
    await_states(on.client, "m", {1: AVAILABLE, 2: AVAILABLE})
    on.client.reload(labelled(2))
    assert served(on.client, "m", label="hot") == 2
    on.close()


def test_label_of_a_version_still_to_come_is_allowed_by_flag_and_never_fails_a_start(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    label = "version_labels { key: 'next' value: 2 }"
    text = config_text([model_entry("m", base, label)])
    on = Served(start_server, tmp_path, text, "--allow_version_labels_for_unavailable_models=true")
    assert failure(lambda: served(on.client, "m", label="next")) == (
        NOT_FOUND,
        "Servable not found for request: Specific(m, 2)",
    )
    on.client.reload(text)
    publish(half_plus / "2", base, "2")
    wait_until(lambda: served(on.client, "m") == 2, SECONDS, "version 2 serves")
    assert served(on.client, "m", label="next") == 2
    on.close()


def test_specific_and_all_follow_the_directory(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    every = model_entry("every", base, "model_version_policy { all {} }")
    picked = model_entry("picked", base, "model_version_policy { specific { versions: [1, 3] } }")
    on = Served(start_server, tmp_path, config_text([every, picked]))
    for version in ("2", "3"):
        publish(half_plus / version, base, version)
    await_states(on.client, "every", {1: AVAILABLE, 2: AVAILABLE, 3: AVAILABLE})
    await_states(on.client, "picked", {1: AVAILABLE, 3: AVAILABLE})
    retire(base, "1")
    await_states(on.client, "every", {1: END, 2: AVAILABLE, 3: AVAILABLE})
    await_states(on.client, "picked", {1: END, 3: AVAILABLE})
    on.close()


def test_resource_preserving_unloads_first(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    """For the model that the flag names; the other one keeps the default."""
    entries = [model_entry("m", base), model_entry("thrifty", base)]
    flag = "--version_transition_policy=availability_preserving,thrifty=resource_preserving"
    on = Served(start_server, tmp_path, config_text(entries), flag)
    publish(half_plus / "2", base, "2")
    for model in ("m", "thrifty"):
        await_states(on.client, model, {1: END, 2: AVAILABLE})
    lines = on.server.log().splitlines()

    def line(text: str) -> int:
        return next(i for i, line in enumerate(lines) if text in line)

    assert line("Done unloading servable version {name: thrifty version: 1}") < line(
        "Loading servable version {name: thrifty version: 2}"
    )
    assert line("Successfully loaded servable version {name: m version: 2}") < line(
        "Quiescing servable version {name: m version: 1}"
    )
    on.close()


def test_reload_a_thousand_times_in_a_row(
    start_server: StartServer, tmp_path: Path, base: Path, half_plus: Path
) -> None:
    """Every other one adds a label and drops it again; the model is never touched."""
    m = config_text([model_entry("m", base)])
    labelled = config_text([model_entry("m", base, "version_labels { key: 'l' value: 1 }")])
    on = Served(start_server, tmp_path, m)
    for _ in range(500):
        on.client.reload(labelled)
        on.client.reload(m)
    assert served(on.client, "m") == 1
    assert on.server.log().count("Successfully loaded") == 1
    assert on.client.states("m") == {1: AVAILABLE}
    on.close()
