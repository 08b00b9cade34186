"""Clients in Go against a real server: grpc-go itself, grpcurl and ghz.

The last two know nothing of TensorFlow Serving but what the server's reflection tells them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from client_programs import HERE, run

from support.cache import ROOT, digest, kept
from support.certificates import Authority, ssl_config
from support.server import ServerProcess, StartServer

SOURCES = HERE / "go"
OTHERS = ("github.com/bojand/ghz/cmd/ghz", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
PREDICT = "tensorflow.serving.PredictionService/Predict"
HALF_PLUS = {"model_spec": {"name": "half_plus"}}
FLOATS = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 3}]}, "float_val": [1, 2, 5]}

pytestmark = pytest.mark.timeout(900)
"""For the first time, when the programs are built."""


@pytest.fixture(scope="module")
def tools() -> Path:
    """Where the programs are, built with Go from what go.sum pins."""

    def build(directory: Path) -> None:
        command = ("go", "build", "-buildvcs=false", "-mod=readonly", "-o", f"{directory}/")
        run(*command, ".", *OTHERS, cwd=SOURCES)

    files = sorted(SOURCES.iterdir())
    return kept(f"clients/go-{digest(*(file.read_bytes() for file in files))}", build)


# grpc-go


@pytest.fixture(scope="module")
def grpc_go(tools: Path, server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the client of grpc-go was answered."""
    descriptors = tmp_path_factory.mktemp("descriptors") / "apis.binpb"
    apis = "tensorflow_serving/apis"
    run(
        *(sys.executable, "-m", "grpc_tools.protoc", "-I", ROOT / "protos", "--include_imports"),
        *(f"--descriptor_set_out={descriptors}", f"{apis}/prediction_service.proto"),
        f"{apis}/model_service.proto",
    )
    return json.loads(run(tools / "use_grpc_go", descriptors, server.grpc_port))


def test_grpc_go_gets_its_predictions(grpc_go: Any) -> None:
    for key, version, y in (("newest", "3", [4.5, 5, 6.5]), ("label", "1", [2.5, 3, 4.5])):
        assert grpc_go[key]["model_spec"]["version"] == version
        assert grpc_go[key]["outputs"]["y"]["float_val"] == y


def test_grpc_go_gets_metadata_and_status(grpc_go: Any) -> None:
    signatures = grpc_go["metadata"]["metadata"]["signature_def"]["signature_def"]
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    versions = grpc_go["status"]["model_version_status"]
    states = [(version["version"], version["state"]) for version in versions]
    assert states == [("3", "AVAILABLE"), ("2", "AVAILABLE"), ("1", "AVAILABLE")]


def test_grpc_go_gets_its_errors(grpc_go: Any) -> None:
    missing = "Servable not found for request: Latest(nope)"
    assert grpc_go["unknown_model"] == ["NotFound", missing]
    code, text = grpc_go["missing_input"]
    assert code == "InvalidArgument"
    assert text.startswith("input size does not match signature: 1!=3")


def test_each_of_many_goroutines_gets_its_own_answers_and_large_ones_as_gzip(grpc_go: Any) -> None:
    assert grpc_go["many"] == 128 * 16
    assert grpc_go["large"] == 1 << 19


def test_deadlines_and_cancellations_end_their_calls_and_no_other(grpc_go: Any) -> None:
    assert grpc_go["ended"] == {"codes": {"DeadlineExceeded": 4, "Canceled": 4}, "right": 16 * 16}


# grpcurl and ghz


@pytest.fixture(scope="module")
def tls_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate that the server with TLS is to be verified with, beside its config file."""
    scratch = tmp_path_factory.mktemp("tls")
    authority = Authority(scratch)
    (scratch / "ssl.config").write_text(ssl_config(authority.issue("server")))
    return scratch / "root.crt"


@pytest.fixture(scope="module")
def tls_server(start_server: StartServer, recorded_models: Path, tls_root: Path) -> ServerProcess:
    base = f"--model_base_path={recorded_models / 'half_plus'}"
    ssl_file = f"--ssl_config_file={tls_root.with_name('ssl.config')}"
    return start_server("--model_name=half_plus", base, ssl_file)


@pytest.fixture(params=["cleartext", "tls"])
def over_tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tls")


@pytest.fixture
def address(over_tls: bool, request: pytest.FixtureRequest) -> str:
    started = request.getfixturevalue("tls_server" if over_tls else "server")
    return f"localhost:{started.grpc_port}"


@pytest.fixture
def grpcurl(tools: Path, over_tls: bool, tls_root: Path) -> tuple[object, ...]:
    security = ("-cacert", tls_root) if over_tls else ("-plaintext",)
    return (tools / "grpcurl", *security)


def asked(grpcurl: tuple[object, ...], address: str, method: str, request: Any) -> Any:
    """What grpcurl prints of an answer."""
    return json.loads(run(*grpcurl, "-d", json.dumps(request), address, method))


def test_grpcurl_lists_services_and_methods(grpcurl: tuple[object, ...], address: str) -> None:
    assert run(*grpcurl, address, "list").split() == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    methods = run(*grpcurl, address, "list", "tensorflow.serving.ModelService").split()
    assert methods == [
        "tensorflow.serving.ModelService.GetModelStatus",
        "tensorflow.serving.ModelService.HandleReloadConfigRequest",
    ]


def test_grpcurl_gets_predictions_status_and_metadata(
    grpcurl: tuple[object, ...], address: str
) -> None:
    answer = asked(grpcurl, address, PREDICT, HALF_PLUS | {"inputs": {"x": FLOATS}})
    assert answer["outputs"]["y"]["float_val"] == [4.5, 5, 6.5]
    status = "tensorflow.serving.ModelService/GetModelStatus"
    newest, *_ = asked(grpcurl, address, status, HALF_PLUS)["model_version_status"]
    assert (newest["version"], newest["state"]) == ("3", "AVAILABLE")
    metadata = "tensorflow.serving.PredictionService/GetModelMetadata"
    field = {"metadata_field": ["signature_def"]}
    answer = asked(grpcurl, address, metadata, HALF_PLUS | field)
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"


def test_grpcurl_shows_code_and_text_of_an_error(grpcurl: tuple[object, ...], address: str) -> None:
    command = [*map(str, grpcurl), "-d", '{"model_spec": {"name": "nope"}}', address, PREDICT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 64 + 5  # of NOT_FOUND
    assert "Message: Servable not found for request: Latest(nope)" in done.stderr


def test_ghz_gets_every_one_of_its_answers(
    tools: Path, over_tls: bool, tls_root: Path, address: str
) -> None:
    security = ("--cacert", tls_root) if over_tls else ("--insecure",)
    bounds = ("--total=2000", "--concurrency=40", "--connections=8", "--timeout=30s")
    data = json.dumps(HALF_PLUS | {"inputs": {"x": FLOATS}})
    call = (f"--call={PREDICT}", f"--data={data}", "--format=json", address)
    report = json.loads(run(tools / "ghz", *security, *bounds, *call))
    assert report["count"] == 2000
    assert report["statusCodeDistribution"] == {"OK": 2000}
    assert not report["errorDistribution"]
