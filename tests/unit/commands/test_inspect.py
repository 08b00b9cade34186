"""A model's directory is told of, without TensorFlow."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from fastserve import cli, protos
from support.server import environment

Capture = pytest.CaptureFixture[str]


def inspected(directory: Path, shown: Capture, *, status: int = 0) -> list[dict[str, Any]]:
    assert cli.run(["inspect", str(directory), "--json"]) == status
    versions: list[dict[str, Any]] = json.loads(shown.readouterr().out)["versions"]
    return versions


@pytest.fixture
def version(recorded_models: Path, tmp_path: Path) -> Path:
    """A version directory with every file that a server may read."""
    path = tmp_path / "m" / "7"
    shutil.copytree(recorded_models / "defaults" / "1", path)
    (path / "assets" / "words").mkdir(parents=True)
    (path / "assets.extra").mkdir()
    for name, size in (
        ("assets/words/vocabulary.txt", 12),
        ("assets.extra/tf_serving_warmup_requests", 3),
        ("batching_params.pbtxt", 5),
        ("model.tflite", 1_500_000),
    ):
        (path / name).write_bytes(b"x" * size)
    return path


def test_every_version_below_a_base_path_is_told_highest_first(
    recorded_models: Path, capsys: Capture
) -> None:
    versions = inspected(recorded_models / "half_plus", capsys)
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert [Path(each["path"]).name for each in versions] == ["3", "2", "1"]
    (graph,) = versions[0]["meta_graphs"]
    assert graph["tags"] == ["serve"]
    assert graph["tensorflow_version"].startswith("2.")
    assert len(graph["signatures"]) == 6
    assert graph["signatures"]["regress_x_to_y"] == {
        "method": "tensorflow/serving/regress",
        "inputs": {
            "inputs": {
                "dtype": "DT_STRING",
                "shape": [-1],
                "tensor": "tf_example:0",
                "has_default": False,
            }
        },
        "outputs": {
            "outputs": {
                "dtype": "DT_FLOAT",
                "shape": [-1, 1],
                "tensor": "y:0",
                "has_default": False,
            }
        },
    }


def test_files_of_a_version_are_told_with_their_sizes(version: Path, capsys: Capture) -> None:
    (told,) = inspected(version, capsys)
    assert told["version"] == 7
    graph_bytes = (version / "saved_model.pb").stat().st_size
    assert told["files"] == {
        "saved_model": {"name": "saved_model.pb", "bytes": graph_bytes},
        "tflite": {"name": "model.tflite", "bytes": 1_500_000},
        "warmup_requests": {"name": "assets.extra/tf_serving_warmup_requests", "bytes": 3},
        "batching_parameters": {"name": "batching_params.pbtxt", "bytes": 5},
        "saved_model_config": None,
    }
    assert told["assets"] == [{"name": "words/vocabulary.txt", "bytes": 12}]
    sizes = [file.stat().st_size for file in version.rglob("*") if file.is_file()]
    assert told["bytes"] == sum(sizes)
    variables = version / "variables"
    assert told["variables_bytes"] == sum(file.stat().st_size for file in variables.iterdir())


def test_table_shows_what_json_does(version: Path, capsys: Capture) -> None:
    (told,) = inspected(version, capsys)
    written = told["meta_graphs"][0]["tensorflow_version"]
    assert cli.run(["inspect", str(version.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{version}: version 7, 1.5 MB")
    assert "  model.tflite                             1.5 MB" in lines
    assert "  assets/words/vocabulary.txt              12 B" in lines
    assert lines[lines.index("  without saved_model_config.pb") + 1 :] == [
        f"  tags serve; written by TensorFlow {written}",
        "    signature default_of_no_input: tensorflow/serving/predict",
        "      input   x  DT_FLOAT  [?]        x:0",
        "      input   y  DT_FLOAT  any shape  y:0",
        "      output  z  DT_FLOAT  any shape  add_1:0",
        "    signature serving_default: tensorflow/serving/predict",
        "      input   c  DT_FLOAT  []         c:0  has a default",
        "      input   x  DT_FLOAT  [?]        x:0",
        "      input   y  DT_FLOAT  any shape  y:0  has a default",
        "      output  z  DT_FLOAT  any shape  z:0",
    ]


def test_text_format_is_read_too(version: Path, capsys: Capture) -> None:
    (binary,) = inspected(version, capsys)
    file = version / "saved_model.pb"
    text = text_format.MessageToString(protos.SavedModel.FromString(file.read_bytes()))
    file.unlink()
    (version / "saved_model.pbtxt").write_text(text)
    (told,) = inspected(version, capsys)
    assert told["files"]["saved_model"]["name"] == "saved_model.pbtxt"
    assert told["meta_graphs"] == binary["meta_graphs"]


def test_tensorflow_lite_model_alone_is_a_version(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "model.tflite").write_bytes(b"lite")
    (told,) = inspected(tmp_path / "lite", capsys)
    assert (told["version"], told["bytes"], told["meta_graphs"]) == (None, 4, [])


def test_version_that_cannot_be_read_is_told_beside_the_others(
    version: Path, capsys: Capture
) -> None:
    for number, name, data in ((8, "saved_model.pb", b"no model"), (9, "saved_model.cpb", b"")):
        (version.parent / str(number)).mkdir()
        (version.parent / str(number) / name).write_bytes(data)
    (version.parent / "10").mkdir()
    ten, nine, eight, seven = inspected(version.parent, capsys, status=1)
    assert ten["error"].endswith("10 holds neither saved_model.pb nor saved_model.pbtxt")
    assert nine["error"].endswith("saved_model.cpb is in chunks, which only TensorFlow reads")
    assert "8/saved_model.pb is not a SavedModel: " in eight["error"]
    assert (seven["error"], len(seven["meta_graphs"])) == (None, 1)
    assert cli.run(["inspect", str(version.parent)]) == 1
    assert f"  error: {nine['error']}" in capsys.readouterr().out.splitlines()


def test_directory_without_a_model_is_refused(tmp_path: Path, capsys: Capture) -> None:
    for path, reason in (
        (tmp_path, "holds neither a model (saved_model.pb, ...) nor versions (1, 2, ...)"),
        (tmp_path / "none", "is not a directory"),
    ):
        assert cli.run(["inspect", str(path)]) == 1
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", f"fastserve inspect: {path} {reason}\n")


def test_tensorflow_is_not_imported(recorded_models: Path) -> None:
    script = (
        "import sys; from fastserve import cli; status = cli.run(sys.argv[1:]); "
        "sys.exit(status or 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "inspect", str(recorded_models / "mnist")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "signature predict_images" in done.stdout
