"""`fastserve predict` and `fastserve status` against a real server, over both of its ports."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastserve import cli
from support.grpc_client import Client
from support.layout import await_states, config_text, model_entry
from support.server import ServerProcess, StartServer, run_to_end

Capture = pytest.CaptureFixture[str]
VERSIONS = """model_version_policy { specific { versions: [1, 3] } }
              version_labels { key: 'stable' value: 1 } version_labels { key: 'old' value: 1 }"""


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    names = ("broken", "defaults", "empty", "heads", "identity", "mnist", "shapes")
    entries = [model_entry(name, recorded_models / name) for name in names]
    entries.append(model_entry("half_plus", recorded_models / "half_plus", VERSIONS))
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text(entries))
    started = start_server(f"--model_config_file={file}", "--max_num_load_retries=0")
    with Client(started.grpc_port) as client:
        await_states(client, "half_plus", {1: "AVAILABLE", 3: "AVAILABLE"})
    return started


@pytest.fixture(params=["grpc", "rest"])
def at(server: ServerProcess, request: pytest.FixtureRequest) -> list[str]:
    """The flags that name the server, for either protocol."""
    if request.param == "rest":
        return ["--rest", f"--server=localhost:{server.rest_port}"]
    return [f"--server=localhost:{server.grpc_port}"]


@pytest.fixture
def over_grpc(server: ServerProcess) -> list[str]:
    return [f"--server=localhost:{server.grpc_port}"]


def outputs(shown: Capture, *arguments: str) -> Any:
    """What `fastserve predict` prints."""
    assert cli.run(["predict", *arguments]) == 0, shown.readouterr().err
    return json.loads(shown.readouterr().out)["outputs"]


def refusal(shown: Capture, *arguments: str) -> str:
    """What a command says to stderr instead of doing its work."""
    assert cli.run(arguments) == 1
    out, err = shown.readouterr()
    start = f"fastserve {arguments[0]}: "
    assert (out, err[: len(start)], err[-1:]) == ("", start, "\n")
    return str(err[len(start) : -1])


def written(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def saved(path: Path, array: Any) -> str:
    np.save(path, array)
    return str(path)


# predict


@pytest.mark.parametrize(
    "body", [{"instances": [[1], [2.5]]}, {"inputs": [[1], [2.5]]}, {"inputs": {"x": [[1], [2.5]]}}]
)
def test_json_of_either_form_gets_the_dtypes_of_the_signature(
    at: list[str], tmp_path: Path, capsys: Capture, body: Any
) -> None:
    file = written(tmp_path / "body.json", body)
    assert outputs(capsys, *at, "--model=half_plus", f"--json={file}") == {"y": [[4.5], [5.25]]}


@pytest.mark.parametrize(
    ("which", "answer"),
    [("--version=3", 4.5), ("--version=1", 2.5), ("--label=stable", 2.5)],
)
def test_version_and_label_choose_who_answers(
    at: list[str], tmp_path: Path, capsys: Capture, which: str, answer: float
) -> None:
    file = written(tmp_path / "body.json", {"instances": [[1.0]]})
    assert outputs(capsys, *at, "--model=half_plus", which, f"--json={file}") == {"y": [[answer]]}


def test_several_inputs_come_from_rows_or_from_files(
    at: list[str], tmp_path: Path, capsys: Capture
) -> None:
    answer = {"echo": ["p", "q"], "next": [2, 3], "total": [3.0, 7.0]}
    rows = [{"a": [1, 2], "b": 1, "s": "p"}, {"a": [3, 4], "b": 2, "s": {"b64": "cQ=="}}]
    file = written(tmp_path / "rows.json", {"instances": rows})
    assert outputs(capsys, *at, "--model=shapes", f"--json={file}") == answer
    arrays = {"a": [[1.0, 2.0], [3.0, 4.0]], "b": [1, 2], "s": ["p", "q"]}
    files = [f"--input={n}={saved(tmp_path / f'{n}.npy', v)}" for n, v in arrays.items()]
    assert outputs(capsys, *at, "--model=shapes", *files) == answer


def test_json_from_standard_input_may_name_the_signature(
    at: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"signature_name": "scalars", "inputs": {"p": 2, "q": 3}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(body)))
    answer = {"product": 6.0, "sum": 5.0}
    assert outputs(capsys, *at, "--model=shapes", "--json=-") == answer


def test_image_becomes_pixels_of_a_numeric_input(
    at: list[str], tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "digit.png"
    pixels = np.arange(784).astype(np.uint8).reshape(28, 28)
    Image.fromarray(pixels).save(path)
    flags = ["--model=mnist", "--signature=predict_images"]
    from_image = outputs(capsys, *at, *flags, f"--input=images={path}")
    array = saved(tmp_path / "digit.npy", pixels.reshape(1, 784))
    assert outputs(capsys, *at, *flags, f"--input=images={array}") == from_image


def test_file_is_bytes_of_a_string_input(at: list[str], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\0")
    flags = ["--model=shapes", "--signature=bytes_out", f"--input=raw={path}"]
    answer = outputs(capsys, *at, *flags)
    assert answer["raw_bytes"] == answer["raw_text"] == [{"b64": "iVBORwA="}]


def test_outputs_are_saved_as_arrays(at: list[str], tmp_path: Path, capsys: Capture) -> None:
    body = written(tmp_path / "body.json", {"instances": [{"a": [1, 2], "b": 7, "s": "é"}]})
    folder = tmp_path / "out" / "shapes"
    arguments = [*at, "--model=shapes", f"--json={body}", f"--output={folder}"]
    assert cli.run(["predict", *arguments]) == 0
    paths = [folder / f"{name}.npy" for name in ("echo", "next", "total")]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    echo, following, total = (np.load(path) for path in paths)
    assert (total.dtype, total.tolist()) == (np.float32, [3.0])
    assert (following.dtype, following.tolist()) == (np.int64, [8])
    assert echo.tolist() == ["é".encode()]
    one = tmp_path / "one.npy"
    body = written(tmp_path / "body.json", {"instances": [[1.0]]})
    flags = ["--model=half_plus", f"--json={body}", f"--output={one}"]
    assert cli.run(["predict", *at, *flags]) == 0
    assert np.load(one).tolist() == [[4.5]]


@pytest.mark.parametrize(
    ("signature", "sent", "answer", "stored"),
    [
        ("half", [0.1], [0.099975586], np.float16),
        ("bfloat16", [0.1], [0.100097656], np.float32),
        ("complex64", [1.5], [[1.5, 0.0]], np.complex64),
        ("int4", [-8], [-8], np.int8),
        ("float8_e5m2", [0.5], [0.5], np.float32),
    ],
)
def test_dtypes_that_json_lacks_go_over_grpc(
    over_grpc: list[str],
    tmp_path: Path,
    capsys: Capture,
    signature: str,
    sent: Any,
    answer: Any,
    stored: Any,
) -> None:
    body = written(tmp_path / "body.json", {"inputs": sent})
    flags = [*over_grpc, "--model=identity", f"--signature={signature}", f"--json={body}"]
    assert outputs(capsys, *flags) == {"y": answer}
    assert cli.run(["predict", *flags, f"--output={tmp_path / 'y.npy'}"]) == 0
    assert np.load(tmp_path / "y.npy").dtype == stored


def test_input_with_a_default_may_be_left_out(
    over_grpc: list[str], tmp_path: Path, capsys: Capture
) -> None:
    body = written(tmp_path / "body.json", {"inputs": {"x": [1.0]}})
    assert outputs(capsys, *over_grpc, "--model=defaults", f"--json={body}") == {"z": [11.5]}


@pytest.mark.parametrize(
    ("flags", "body", "error"),
    [
        (
            ["--model=half_plus"],
            {"inputs": {"y": 1}},
            "no input is called y; there are: x (DT_FLOAT)",
        ),
        (
            ["--model=shapes"],
            {"instances": [{"a": [1, 2], "b": 1}]},
            "no value for s; the inputs are: a (DT_FLOAT), b (DT_INT64), s (DT_STRING)",
        ),
        (
            ["--model=shapes"],
            {"instances": [1]},
            "each of 'instances' must be an object with the keys: "
            "a (DT_FLOAT), b (DT_INT64), s (DT_STRING)",
        ),
        (
            ["--model=shapes"],
            {"instances": [{"a": 1}, {"b": 1}]},
            "'instances' differ in their keys: b; a",
        ),
        (
            ["--model=half_plus"],
            {"instances": []},
            "'instances' must be a list with at least one element",
        ),
        (
            ["--model=half_plus"],
            {"inputs": [["1"]]},
            'INVALID_ARGUMENT: input x is DT_FLOAT, but has the value "1"',
        ),
        (
            ["--model=mnist", "--signature=other"],
            {"inputs": 1},
            "mnist has no signature called other; there are: predict_images, serving_default",
        ),
        (
            ["--model=shapes", "--signature=scalars", "--output=all.npy"],
            {"inputs": {"p": 1, "q": 2}},
            "--output all.npy is one file, but the outputs are product, sum; name a directory",
        ),
    ],
)
def test_request_that_cannot_be_made_is_refused_with_the_reason(
    at: list[str], tmp_path: Path, capsys: Capture, flags: list[str], body: Any, error: str
) -> None:
    file = written(tmp_path / "body.json", body)
    assert refusal(capsys, "predict", *at, *flags, f"--json={file}") == error


@pytest.mark.parametrize(
    ("assignments", "error"),
    [
        (["x"], "--input x is not NAME=FILE"),
        (["x=x.npy", "x=x.npy"], "--input x=x.npy comes twice"),
        (["x=none.npy"], "[Errno 2] No such file or directory: 'none.npy'"),
        (
            ["x=x.txt"],
            "x.txt is neither .npy nor an image (.png, .jpg, .jpeg); any other file is for string "
            "inputs, and x is DT_FLOAT",
        ),
        (
            ["x=empty.npy"],
            "empty.npy is no array of numbers or strings: No data left in file",
        ),
        (["x=s.npy"], "INVALID_ARGUMENT: input x is DT_FLOAT, but the values are <U1"),
    ],
)
def test_file_that_cannot_be_an_input_is_refused(
    over_grpc: list[str],
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    assignments: list[str],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "x.npy", [[1.0]])
    saved(tmp_path / "s.npy", ["a"])
    (tmp_path / "empty.npy").touch()
    inputs = [f"--input={each}" for each in assignments]
    assert refusal(capsys, "predict", *over_grpc, "--model=half_plus", *inputs) == error


@pytest.mark.parametrize(
    "text",
    [
        *(b"{", b"[]", b"[" * 100_000, b'{"inputs": "\xff"}', b'{"examples": [{}]}'),
        *(b'{"inputs": 1, "instances": [1]}', b'{"inputs": 1, "signature_name": 1}'),
    ],
    ids=range(7),
)
def test_json_that_is_no_predict_body_is_refused(
    over_grpc: list[str], tmp_path: Path, capsys: Capture, text: bytes
) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(text)
    error = refusal(capsys, "predict", *over_grpc, "--model=m", f"--json={file}")
    assert error.startswith(str(file))


def test_servers_refusal_is_told_with_its_code(
    at: list[str], tmp_path: Path, capsys: Capture
) -> None:
    file = written(tmp_path / "body.json", {"inputs": 1})
    error = refusal(capsys, "predict", *at, "--model=nope", f"--json={file}")
    code = "404 Not Found" if "--rest" in at else "NOT_FOUND"
    address = at[-1].removeprefix("--server=")
    assert error == f"{address}: {code}: Servable not found for request: Latest(nope)"
    file = written(tmp_path / "body.json", {"inputs": [[1.0]]})
    error = refusal(capsys, "predict", *at, "--model=mnist", f"--json={file}")
    code = "400 Bad Request" if "--rest" in at else "INVALID_ARGUMENT"
    assert error.startswith(f"{address}: {code}: ")


# status


def test_status_is_a_table_of_all_models(server: ServerProcess, capsys: Capture) -> None:
    assert cli.run(["status", f"--server=localhost:{server.rest_port}"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "VERSION", "STATE", "LABELS", "ERROR"]
    columns = [head.index(word) for word in head.split()]
    rows = [
        tuple(line[a:b].strip() for a, b in zip(columns, [*columns[1:], None], strict=True))
        for line in lines
    ]
    assert ("half_plus", "3", "AVAILABLE", "", "") in rows
    assert ("half_plus", "1", "AVAILABLE", "old, stable", "") in rows
    assert ("empty", "-", "-", "", rows[2][4]) == rows[2]
    assert rows[2][4].startswith("NOT_FOUND: No versions of servable empty")
    broken = rows[0]
    assert broken[:4] == ("broken", "1", "END", "")
    assert broken[4].startswith("DATA_LOSS: ")


def test_status_of_one_model_is_asked_over_grpc(server: ServerProcess, capsys: Capture) -> None:
    flags = [f"--server=localhost:{server.grpc_port}", "--model=half_plus"]
    assert cli.run(["status", *flags]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["MODEL", "VERSION", "STATE", "ERROR"],
        ["half_plus", "3", "AVAILABLE"],
        ["half_plus", "1", "AVAILABLE"],
    ]
    assert cli.run(["status", *flags, "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)["model_version_status"]
    assert [version["version"] for version in versions] == ["3", "1"]
    flags[1] = "--model=nope"
    assert refusal(capsys, "status", *flags) == (
        f"localhost:{server.grpc_port}: NOT_FOUND: Could not find any versions of model nope"
    )


def test_status_as_json_is_the_list_of_rest(server: ServerProcess, capsys: Capture) -> None:
    assert cli.run(["status", "--json", f"--server=localhost:{server.rest_port}"]) == 0
    models = {each["name"]: each for each in json.loads(capsys.readouterr().out)["models"]}
    assert models["half_plus"]["version_labels"] == {"old": "1", "stable": "1"}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Nobody listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_server_that_is_not_there_is_named(silent_port: int, capsys: Capture) -> None:
    address = f"localhost:{silent_port}"
    error = refusal(capsys, "status", f"--server={address}")
    assert error == f"{address}: [Errno 111] Connection refused"
    error = refusal(capsys, "status", f"--server={address}", "--model=m")
    assert error.startswith(f"{address}: UNAVAILABLE: ")


def test_port_of_the_other_protocol_is_told(server: ServerProcess, capsys: Capture) -> None:
    address = f"localhost:{server.grpc_port}"
    error = refusal(capsys, "status", f"--server={address}")
    assert error == f"{address}: the answer is not HTTP; is this the server's REST port?"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_other_http_servers_answer_is_refused(capsys: Capture, body: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)

        thread = threading.Thread(target=answer)
        thread.start()
        error = refusal(capsys, "status", f"--server={address}")
        thread.join()
    assert error == f"{address}: this is no answer of a model server"


@pytest.mark.parametrize("command", ["inspect", "predict", "status"])
def test_help_tells_what_a_command_does(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: fastserve {command}" in capsys.readouterr().out


def test_commands_are_reached_from_the_shell(server: ServerProcess) -> None:
    done = run_to_end("status", f"--server=localhost:{server.rest_port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MODEL")
