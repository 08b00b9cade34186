"""Tokens on both ports: who may call what, and what a refusal says."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
)

from support import rest
from support.grpc_client import SECONDS, Client, predict_request
from support.layout import config_text, model_entry
from support.server import ServerProcess, StartServer
from support.tokens import (
    ADMIN,
    BODY,
    CLIENT,
    DENIED,
    HOW,
    NO_TOKEN,
    NOT_ADMIN,
    OK,
    PREDICT,
    UNKNOWN,
    WRONG,
    get,
    metadata,
    outcome,
    post,
    predicts,
    written,
)
from support.waiting import wait_until

MONITORING = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def config_file(recorded_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(config_text([model_entry("identity", recorded_models / "identity")]))
    return file


@pytest.fixture(scope="module")
def monitoring_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("monitoring") / "monitoring.config"
    file.write_text("prometheus_config { enable: true }")
    return file


Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def start(
    start_server: StartServer,
    config_file: Path,
    monitoring_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Start:
    """Starts a server whose token files hold these; without one of them where there are none."""

    def start(clients: tuple[str, ...], admins: tuple[str, ...], *flags: str) -> ServerProcess:
        folder = tmp_path_factory.mktemp("tokens")
        given = {"auth_token_file": clients, "admin_auth_token_file": admins}
        return start_server(
            *(f"--model_config_file={config_file}", "--enable_request_capture"),
            *(f"--monitoring_config_file={monitoring_file}", "--rest_api_enable_cors_support"),
            *(f"--{flag}={written(folder / flag, *each)}" for flag, each in given.items() if each),
            *flags,
        )

    return start


@pytest.fixture(scope="module")
def server(start: Start, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """With tokens of both kinds."""
    log = tmp_path_factory.mktemp("log") / "access.log"
    return start(("unused-token-0123456789", CLIENT), (ADMIN,), f"--access_log={log}")


def access_log(server: ServerProcess) -> Path:
    flags = Path(f"/proc/{server.pid}/cmdline").read_bytes().decode().split("\0")
    (path,) = (f.removeprefix("--access_log=") for f in flags if f.startswith("--access_log"))
    return Path(path)


def refusals_over_rest(server: ServerProcess) -> int:
    """How many requests without a token have been counted."""
    page = get(server, "/metrics", f"Bearer {ADMIN}").body.decode()
    counts = (
        line
        for line in page.splitlines()
        if line.startswith("fastserve_request_duration_seconds_count")
    )
    of_rest = (line for line in counts if 'protocol="rest",code="UNAUTHENTICATED"' in line)
    return sum(int(float(line.rpartition(" ")[2])) for line in of_rest)


def reload_request(config: str) -> Any:
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config, request.config)
    return request


def unary(client: Client, path: str, authorization: str | None) -> tuple[grpc.StatusCode, str]:
    """Of a call with an empty message."""
    call = client.channel.unary_unary(path)
    return outcome(lambda: call(b"", timeout=SECONDS, metadata=metadata(authorization)))


# gRPC


@pytest.mark.parametrize(
    ("authorization", "predict", "reload"),
    [
        (None, (NO_TOKEN, HOW), (NO_TOKEN, HOW)),
        ("", (NO_TOKEN, HOW), (NO_TOKEN, HOW)),
        ("Bearer", (NO_TOKEN, HOW), (NO_TOKEN, HOW)),
        (f"Bearer {WRONG}", (NO_TOKEN, UNKNOWN), (NO_TOKEN, UNKNOWN)),
        (f"Basic {CLIENT}", (NO_TOKEN, UNKNOWN), (NO_TOKEN, UNKNOWN)),
        (f"Bearer {CLIENT}x", (NO_TOKEN, UNKNOWN), (NO_TOKEN, UNKNOWN)),
        (f"Bearer {CLIENT}", (OK, ""), (DENIED, NOT_ADMIN)),
        (f"bearer {CLIENT}", (OK, ""), (DENIED, NOT_ADMIN)),
        (CLIENT, (OK, ""), (DENIED, NOT_ADMIN)),
        (f"Bearer {ADMIN}", (OK, ""), (OK, "")),
        (ADMIN, (OK, ""), (OK, "")),
    ],
)
def test_token_decides_what_a_grpc_client_may_do(
    server: ServerProcess,
    config_file: Path,
    authorization: str | None,
    predict: tuple[grpc.StatusCode, str],
    reload: tuple[grpc.StatusCode, str],
) -> None:
    given = metadata(authorization)
    same = reload_request(config_file.read_text())
    with Client(server.grpc_port) as client:
        request = predict_request("identity", {"x": 2.5})
        assert outcome(lambda: client.prediction.Predict(request, SECONDS, given)) == predict
        call = client.model.HandleReloadConfigRequest
        assert outcome(lambda: call(same, SECONDS, given)) == reload


def test_use_of_models_takes_a_clients_token_whoever_answers(server: ServerProcess) -> None:
    of_metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    of_metadata.model_spec.name = "identity"
    of_status = get_model_status_pb2.GetModelStatusRequest()
    of_status.model_spec.name = "identity"
    listing = [reflection_pb2.ServerReflectionRequest(list_services="")]
    with Client(server.grpc_port) as client:
        reflection = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        for call in (
            lambda given: client.prediction.GetModelMetadata(of_metadata, SECONDS, given),
            lambda given: client.model.GetModelStatus(of_status, SECONDS, given),
            lambda given: reflection.ServerReflectionInfo(iter(listing), SECONDS, given),
        ):
            assert outcome(lambda call=call: call(()))[0] is NO_TOKEN
            assert outcome(lambda call=call: call(metadata(f"Bearer {CLIENT}")))[0] is OK


def test_every_native_method_is_guarded(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        for method in ("Predict", "Classify", "Regress", "MultiInference"):
            path = f"/tensorflow.serving.PredictionService/{method}"
            assert unary(client, path, None) == (NO_TOKEN, HOW)
            assert unary(client, path, CLIENT)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_capture_and_what_is_not_known_are_administration(server: ServerProcess) -> None:
    with Client(server.grpc_port) as client:
        for path in (
            "/fastserve.RequestCapture/CapturePredict",
            "/grpc.health.v1.Health/List",
            "/other.Service/Method",
        ):
            assert unary(client, path, None) == (NO_TOKEN, HOW)
            assert unary(client, path, CLIENT) == (DENIED, NOT_ADMIN)
        assert unary(client, "/other.Service/Method", ADMIN)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_probes_need_no_token(server: ServerProcess) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    request = health_pb2.HealthCheckRequest()
    with Client(server.grpc_port) as client:
        health = health_pb2_grpc.HealthStub(client.channel)
        assert health.Check(request, timeout=SECONDS).status == serving
        watch = health.Watch(request, timeout=SECONDS)
        assert next(watch).status == serving
        watch.cancel()
    assert get(server, "/healthz").status == 200
    assert get(server, "/readyz").status == 200
    assert get(server, "/readyz", f"Bearer {WRONG}").status == 200


# REST


@pytest.mark.parametrize(
    ("authorization", "predict", "page"),
    [
        (None, 401, 401),
        (f"Bearer {WRONG}", 401, 401),
        (f"Basic {CLIENT}", 401, 401),
        (f"Bearer {CLIENT}", 200, 403),
        (f"BEARER {CLIENT}", 200, 403),
        (CLIENT, 200, 403),
        (f"Bearer {ADMIN}", 200, 200),
        (ADMIN, 200, 200),
    ],
)
def test_token_decides_what_an_http_client_may_do(
    server: ServerProcess, authorization: str | None, predict: int, page: int
) -> None:
    answers = [post(server, authorization)]
    assert answers[0].status == predict
    for path in ("/v1/models/identity", "/v1/models/identity/metadata", "/v1/models/none"):
        answers.append(get(server, path, authorization))
        assert (answers[-1].status == 401) == (predict == 401)
    for path in ("/metrics", MONITORING, f"{MONITORING}?x", "/metrics?x"):
        answers.append(get(server, path, authorization))
        assert answers[-1].status in (page, 400 if page == 200 else page)
    for answer in answers:
        if answer.status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/json"
            assert answer.error == (HOW if authorization is None else UNKNOWN)
        elif answer.status == 403:
            assert answer.error == NOT_ADMIN
            assert "www-authenticate" not in answer.headers


def test_no_spelling_of_a_path_or_verb_goes_around_the_token(server: ServerProcess) -> None:
    for verb, path in (
        ("GET", "/v1/models"),
        ("GET", "/V1/models/identity"),
        ("GET", f"http://localhost{PREDICT}"),
        ("GET", "/"),
        ("GET", "//metrics"),
        ("POST", "/metrics"),
        ("OPTIONS", "/metrics"),
        ("OPTIONS", MONITORING),
        ("DELETE", PREDICT),
        ("GET", "/healthz/../metrics"),
        ("GET", "/healthz%2f..%2fmetrics"),
    ):
        answer = rest.send(server.rest_port, rest.request(verb, path, Connection="close"))
        assert answer.status == 401, (verb, path)
    head = rest.send(server.rest_port, rest.request("HEAD", "/metrics"), verb="HEAD")
    assert (head.status, head.headers["www-authenticate"]) == (401, "Bearer")


def test_two_values_of_the_header_are_no_token(server: ServerProcess) -> None:
    text = rest.request("POST", PREDICT, BODY, Authorization=CLIENT)
    doubled = text.replace(b"\r\n", f"\r\nAuthorization: {CLIENT}\r\n".encode(), 1)
    answer = rest.send(server.rest_port, doubled)
    assert (answer.status, answer.error) == (401, UNKNOWN)


def test_connection_goes_on_after_a_refusal_whose_body_is_not_kept(server: ServerProcess) -> None:
    before = server.memory_bytes()
    with rest.Connection(server.rest_port) as connection:
        for size in (0, 5, 64 * 2**20):
            connection.send(rest.request("POST", PREDICT, b"[" * size))
            assert connection.answer().status == 401
        connection.send(rest.request("POST", PREDICT, BODY, Authorization=f"Bearer {CLIENT}"))
        assert connection.answer().json() == {"predictions": [2.5]}
    assert server.memory_bytes() - before < 32 * 2**20


def test_client_that_asks_first_is_refused_before_it_sends_its_body(server: ServerProcess) -> None:
    fields = {"Host": "h", "Content-Length": "1000000", "Expect": "100-continue"}
    before = refusals_over_rest(server)
    with rest.Connection(server.rest_port) as connection:
        connection.send(rest.head("POST", f"{PREDICT}?first", fields))
        answer = connection.answer()
        assert (answer.status, answer.error) == (401, HOW)
        assert connection.closed_by_peer()
    assert refusals_over_rest(server) == before + 1
    line = f'method="POST {PREDICT}?first" status=401'
    log = access_log(server)
    wait_until(lambda: line in log.read_text(), 10, "the refusal in the access log")


def test_pages_of_other_origins_may_send_the_header(server: ServerProcess) -> None:
    preflight = rest.request("OPTIONS", PREDICT, Origin="http://other", Connection="close")
    answer = rest.send(server.rest_port, preflight)
    assert answer.status == 200
    assert answer.headers["access-control-allow-headers"] == "Content-Type, Authorization"
    assert post(server).headers["access-control-allow-origin"] == "*"


def test_curl_is_told_what_is_missing(server: ServerProcess) -> None:
    url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"
    command = ["curl", "--silent", "--include", "--data", BODY.decode(), url]
    refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert refused.startswith("HTTP/1.1 401 Unauthorized\n")
    assert "\nWWW-Authenticate: Bearer\n" in refused
    assert json.loads(refused.partition("\n\n")[2]) == {"error": HOW}
    command += ["--oauth2-bearer", CLIENT]
    answered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answered.startswith("HTTP/1.1 200 OK\n")


# What is told


def test_refusals_are_counted_and_logged_and_no_token_is(server: ServerProcess) -> None:
    refused = 'method="",protocol="grpc",code="UNAUTHENTICATED"'
    with Client(server.grpc_port) as client:
        assert predicts(client, f"Bearer {WRONG}") is NO_TOKEN
        assert predicts(client, f"Bearer {CLIENT}") is OK
        assert unary(client, "/tensorflow.serving.ModelService/HandleReloadConfigRequest", CLIENT)
    assert post(server, f"Bearer {WRONG}").status == 401
    page = get(server, "/metrics", f"Bearer {ADMIN}").body.decode()
    assert refused in page
    assert 'protocol="rest",code="UNAUTHENTICATED"' in page
    log = access_log(server)
    wait_until(
        lambda: "status=PERMISSION_DENIED" in log.read_text() and "status=401" in log.read_text(),
        10,
        "the refusals in the access log",
    )
    monitoring = get(server, MONITORING, f"Bearer {ADMIN}").body.decode()
    for text in (page, monitoring, log.read_text(), server.log()):
        for token in (CLIENT, ADMIN, WRONG):
            assert token[:8] not in text.replace("auth_token", "")


# One file alone


def test_with_clients_tokens_alone_administration_is_closed(start: Start) -> None:
    server = start((CLIENT,), ())
    assert "without --admin_auth_token_file" in server.log()
    reload = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    with Client(server.grpc_port) as client:
        assert predicts(client, None) is NO_TOKEN
        assert predicts(client, CLIENT) is OK
        assert unary(client, reload, None)[0] is NO_TOKEN
        assert unary(client, reload, CLIENT) == (DENIED, NOT_ADMIN)
    assert get(server, "/metrics").status == 401
    assert get(server, "/metrics", CLIENT).status == 403
    assert post(server, CLIENT).status == 200


def test_with_administrators_tokens_alone_predictions_are_open(start: Start) -> None:
    server = start((), (ADMIN,))
    reload = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    with Client(server.grpc_port) as client:
        assert predicts(client, None) is OK
        assert predicts(client, f"Bearer {WRONG}") is OK
        assert unary(client, reload, None) == (NO_TOKEN, HOW)
        assert unary(client, reload, CLIENT) == (NO_TOKEN, UNKNOWN)
    assert post(server).status == 200
    assert get(server, "/metrics").status == 401
    assert get(server, "/metrics", ADMIN).status == 200


def test_without_files_no_token_is_asked_for_or_looked_at(
    start_server: StartServer, config_file: Path
) -> None:
    server = start_server(f"--model_config_file={config_file}")
    with Client(server.grpc_port) as client:
        assert predicts(client, None) is OK
        assert predicts(client, "Bearer what the gateway has checked") is OK
    assert post(server, "Bearer what the gateway has checked").status == 200
    assert get(server, "/metrics").status == 200
