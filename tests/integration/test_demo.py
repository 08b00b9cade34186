"""Point 6: the demo model, good at digits it has not seen, and the README's requests."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastserve import demo
from support import rest
from support.cache import ROOT
from support.grpc_client import Client
from support.server import ServerProcess, StartServer

SIGNATURES = ("predict_images", "serving_default")
ONES = {"signature_name": "predict_images", "inputs": [[1.0] * 784]}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server("--demo", XDG_CACHE_HOME=str(ROOT / ".cache"))


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.grpc_port) as client:
        yield client


@pytest.mark.parametrize("signature", SIGNATURES)
def test_digits_that_were_held_out_are_recognised(client: Client, signature: str) -> None:
    _, images, _, labels = demo.split_digits()
    scores = client.values(demo.MODEL_NAME, {"images": images}, signature=signature)["scores"]
    assert scores.shape == (len(labels), 10)
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(labels)), rel=1e-5)
    assert (scores.argmax(axis=1) == labels).mean() >= 0.95


def test_signatures_are_those_of_the_classic_example(server: ServerProcess) -> None:
    metadata = rest.get(server.rest_port, "/v1/models/mnist/metadata").json()
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    for name in SIGNATURES:
        images = signatures[name]["inputs"]["images"]
        scores = signatures[name]["outputs"]["scores"]
        for info, width in ((images, "784"), (scores, "10")):
            assert info["dtype"] == "DT_FLOAT"
            assert [dim["size"] for dim in info["tensor_shape"]["dim"]] == ["-1", width]


def test_rest_and_grpc_give_the_same_scores(server: ServerProcess, client: Client) -> None:
    answer = rest.post(server.rest_port, "/v1/models/mnist:predict", ONES)
    assert answer.status == 200
    over_grpc = client.values("mnist", {"images": np.ones((1, 784), np.float32)})["scores"]
    assert np.asarray(answer.json()["outputs"], np.float32) == pytest.approx(over_grpc, rel=1e-6)


def test_demo_is_made_once(server: ServerProcess, start_server: StartServer) -> None:
    model = ROOT / ".cache" / "fastserve" / "demo" / "mnist" / "1" / "saved_model.pb"
    made = model.stat().st_mtime_ns
    again = start_server("--demo", XDG_CACHE_HOME=str(ROOT / ".cache"))
    assert "making the demo model" not in again.log()
    assert model.stat().st_mtime_ns == made
    again.stop()


def test_readme_examples_work_as_pasted(server: ServerProcess, tmp_path: Path) -> None:
    """Each with the README's ports replaced by those of a server on free ones."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Ask it") : text.index("## Serve your own model")]
    ports = {"8500": str(server.grpc_port), "8501": str(server.rest_port)}
    section = re.sub("850[01]", lambda match: ports[match[0]], section)
    blocks = dict(re.findall(r"```(sh|python)\n(.*?)```", section, re.DOTALL))
    assert blocks.keys() == {"sh", "python"}
    (tmp_path / "example.py").write_text(blocks["python"])
    (tmp_path / "example.sh").write_text(blocks["sh"])
    for command in (["bash", "-e", "example.sh"], [sys.executable, "example.py"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        printed = [float(number) for number in re.findall(r"\d\.\d+(?:e[+-]\d+)?", done.stdout)]
        assert sum(printed[:10]) == pytest.approx(1.0, abs=1e-3), done.stdout
