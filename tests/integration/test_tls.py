"""TLS and mTLS on both ports, and certificates that change under a running server."""

import http.client
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest

from support.certificates import Authority, Identity, ssl_config
from support.grpc_client import Client, failure, predict_request
from support.layout import write_whole
from support.server import ServerProcess, StartServer, environment, run_to_end
from support.waiting import wait_until

PREDICT_PATH = "/v1/models/identity:predict"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Authority(tmp_path_factory.mktemp("other"), "other root").issue("stranger")


@pytest.fixture(scope="module")
def plain_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server that asks its clients for nothing."""
    file = tmp_path_factory.mktemp("tls") / "ssl.config"
    file.write_text(ssl_config(authority.issue("server")))
    return file


@pytest.fixture(scope="module")
def verified_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server that verifies its clients."""
    file = tmp_path_factory.mktemp("mtls") / "ssl.config"
    server = authority.issue("server", key_type="RSA")
    file.write_text(ssl_config(server, authority.root, client_verify=True))
    return file


def flags(models: Path, file: Path) -> tuple[str, ...]:
    base = models / "identity"
    return (
        *("--model_name=identity", f"--model_base_path={base}"),
        *(f"--ssl_config_file={file}", f"--rest_ssl_config_file={file}"),
    )


@pytest.fixture(scope="module")
def plain(start_server: StartServer, recorded_models: Path, plain_file: Path) -> ServerProcess:
    return start_server(*flags(recorded_models, plain_file))


@pytest.fixture(scope="module")
def verified(
    start_server: StartServer, recorded_models: Path, verified_file: Path
) -> ServerProcess:
    return start_server(*flags(recorded_models, verified_file))


def credentials(root: str, client: Identity | None = None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(root.encode())
    return grpc.ssl_channel_credentials(root.encode(), client.key.encode(), client.cert.encode())


def rest_context(root: str, client: Identity | None, scratch: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=root)
    if client is not None:
        (scratch / "client.pem").write_text(client.key + client.cert)
        context.load_cert_chain(scratch / "client.pem")
    return context


def rest_predict(port: int, context: ssl.SSLContext, body: bytes) -> bytes:
    connection = http.client.HTTPSConnection("localhost", port, timeout=30, context=context)
    try:
        connection.request("POST", PREDICT_PATH, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def served_certificate(port: int, alpn: str) -> str:
    """The certificate that a new connection is shown, in hex."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw) as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate.hex()


def test_loaded_model_answers_over_tls(plain: ServerProcess, authority: Authority) -> None:
    """TensorFlow's library brings a BoringSSL of its own into the process."""
    large = np.arange(1 << 20, dtype=np.float32)
    with Client(f"localhost:{plain.grpc_port}", credentials(authority.root)) as client:
        for _ in range(3):
            assert client.values("identity", {"x": 1.5})["y"] == 1.5
            assert np.array_equal(client.values("identity", {"x": large})["y"], large)


def test_many_streams_of_one_tls_connection_are_answered(
    plain: ServerProcess, authority: Authority
) -> None:
    with Client(f"localhost:{plain.grpc_port}", credentials(authority.root)) as client:
        futures = []
        for i in range(300):
            value = np.full(1 + 50 * i, i, np.float32)
            request = predict_request("identity", {"x": value})
            futures.append(client.prediction.Predict.future(request, timeout=60))
        for i, future in enumerate(futures):
            assert list(future.result().outputs["y"].float_val) == [i] * (1 + 50 * i)


def test_cleartext_client_is_not_served_by_a_tls_port(plain: ServerProcess) -> None:
    with Client(plain.grpc_port) as client:
        code, _ = failure(lambda: client.predict("identity", {"x": 1.0}, seconds=10))
    assert code == grpc.StatusCode.UNAVAILABLE


def test_client_that_does_not_trust_the_server_leaves(
    plain: ServerProcess, stranger: Identity
) -> None:
    with Client(f"localhost:{plain.grpc_port}", credentials(stranger.cert)) as client:
        code, _ = failure(lambda: client.predict("identity", {"x": 1.0}, seconds=10))
    assert code == grpc.StatusCode.UNAVAILABLE


def test_handshake_without_http2_is_refused(plain: ServerProcess) -> None:
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        served_certificate(plain.grpc_port, "http/1.1")


def test_rest_speaks_tls(plain: ServerProcess, authority: Authority, tmp_path: Path) -> None:
    context = rest_context(authority.root, None, tmp_path)
    body = b'{"instances": [' + b"1.5, " * 50_000 + b"2.5]}"
    answer = rest_predict(plain.rest_port, context, body)
    assert answer.count(b"1.5") == 50_000
    assert b"2.5" in answer


@pytest.mark.parametrize("known", [True, False, None])
def test_only_verified_clients_are_served(
    verified: ServerProcess,
    authority: Authority,
    stranger: Identity,
    tmp_path: Path,
    known: bool | None,
) -> None:
    identity = {True: authority.issue("client"), False: stranger, None: None}[known]
    target = f"localhost:{verified.grpc_port}"
    context = rest_context(authority.root, identity, tmp_path)
    with Client(target, credentials(authority.root, identity)) as client:
        if known:
            assert client.values("identity", {"x": 2.5})["y"] == 2.5
            assert b"2.5" in rest_predict(verified.rest_port, context, b'{"instances": [2.5]}')
        else:
            code, _ = failure(lambda: client.predict("identity", {"x": 1.0}, seconds=10))
            assert code == grpc.StatusCode.UNAVAILABLE
            with pytest.raises((ssl.SSLError, ConnectionError)):
                rest_predict(verified.rest_port, context, b'{"instances": [2.5]}')


@pytest.mark.parametrize("told_by", ["signal", "file"])
def test_new_certificates_are_for_new_connections_and_open_ones_stay(
    start_server: StartServer,
    recorded_models: Path,
    authority: Authority,
    stranger: Identity,
    tmp_path: Path,
    told_by: str,
) -> None:
    file = tmp_path / "ssl.config"
    file.write_text(ssl_config(authority.issue("first")))
    server = start_server(*flags(recorded_models, file))
    ports = ((server.grpc_port, "h2"), (server.rest_port, "http/1.1"))
    context = rest_context(authority.root, None, tmp_path)
    rest = http.client.HTTPSConnection("localhost", server.rest_port, timeout=30, context=context)
    with Client(f"localhost:{server.grpc_port}", credentials(authority.root)) as client:
        assert client.values("identity", {"x": 1.0})["y"] == 1.0
        rest.request("GET", "/v1/models/identity")
        assert rest.getresponse().read()
        sock = rest.sock
        wanted = ssl.PEM_cert_to_DER_cert(stranger.cert).hex()
        assert all(served_certificate(*port) != wanted for port in ports)
        write_whole(file, ssl_config(stranger))
        if told_by == "signal":
            server.signal(signal.SIGHUP)
        for port in ports:
            wait_until(lambda p=port: served_certificate(*p) == wanted, 10, "the new certificate")
        assert client.values("identity", {"x": 2.0})["y"] == 2.0
        rest.request("GET", "/v1/models/identity")
        assert rest.getresponse().status == 200
        assert rest.sock is sock, "the connection was opened anew"
        # A file that is bad changes nothing.
        write_whole(file, "server_key: 1")
        wait_until(lambda: "stay as they were" in server.log(), 10, "the bad file's error")
        assert all(served_certificate(*port) == wanted for port in ports)
    rest.close()
    server.stop()


WITH_TENSORFLOW = """
import tensorflow
from fastserve import _native
key, certificate = ({key!r}, {certificate!r})
server = _native.Server(_native.ServerOptions())
try:
    server.set_tls(server_key=key, server_cert=certificate, client_roots="", verify_clients=False)
except _native.NativeError as error:
    print(error)
"""


def test_process_with_tensorflows_python_package_is_refused_tls(authority: Authority) -> None:
    """It exports BoringSSL's functions under the names of OpenSSL's."""
    server = authority.issue("server")
    code = WITH_TENSORFLOW.format(key=server.key, certificate=server.cert)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(TF_CPP_MIN_LOG_LEVEL="3"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "has put its own functions in the place of OpenSSL's" in done.stdout


BAD_FILES = {
    "empty": ("", "the file is empty"),
    "no text format": (
        "server_key {",
        "Error parsing text-format tensorflow.serving.SSLConfig: 1:",
    ),
    "no key": ('server_cert: "x"', "server_key is missing"),
    "no PEM": ('server_key: "x" server_cert: "y"', "server_"),
}


@pytest.mark.parametrize("flag", ["ssl_config_file", "rest_ssl_config_file"])
@pytest.mark.parametrize("kind", [*BAD_FILES, "missing", "other key", "bad roots"])
def test_bad_file_ends_the_start_and_is_named(
    recorded_models: Path,
    authority: Authority,
    stranger: Identity,
    tmp_path: Path,
    flag: str,
    kind: str,
) -> None:
    file = tmp_path / "bad.config"
    wanted = "No such file or directory"
    server = authority.issue("server")
    if kind in BAD_FILES:
        text, wanted = BAD_FILES[kind]
        file.write_text(text)
    elif kind == "other key":
        wanted = "server_key"
        file.write_text(ssl_config(Identity(stranger.key, server.cert)))
    elif kind == "bad roots":
        wanted = "custom_ca"
        file.write_text(ssl_config(server, "no PEM", client_verify=True))
    ended = run_to_end(
        *("--port=0", "--rest_api_port=auto", f"--{flag}={file}"),
        f"--model_base_path={recorded_models / 'identity'}",
    )
    assert ended.returncode == 255
    assert str(file) in ended.stderr
    assert wanted in ended.stderr
    assert "Traceback" not in ended.stderr
