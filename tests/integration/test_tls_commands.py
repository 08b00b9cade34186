"""Commands that call a server over TLS."""

import subprocess
from pathlib import Path

import grpc
import pytest

from fastserve import cli
from support.background import Background
from support.certificates import Authority, ssl_config
from support.server import ServerProcess, StartServer

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of root.crt and what it issued, other.crt, and files that are no certificates."""
    folder = tmp_path_factory.mktemp("authority")
    authority = Authority(folder)
    server = authority.issue("server")
    authority.issue("client")
    (folder / "plain.config").write_text(ssl_config(server))
    verified = ssl_config(server, authority.root, client_verify=True)
    (folder / "verified.config").write_text(verified)
    other = Authority(tmp_path_factory.mktemp("other"), "other root")
    (folder / "other.crt").write_text(other.root)
    (folder / "text").write_text("no certificate")
    (folder / "empty").touch()
    (folder / "bytes").write_bytes(bytes(range(256)))
    lock = ("openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", folder / "client.key")
    subprocess.run([*lock, "-out", folder / "locked.key"], check=True, capture_output=True)
    return folder


def started(start_server: StartServer, models: Path, config: Path) -> ServerProcess:
    return start_server(
        *("--model_name=identity", f"--model_base_path={models / 'identity'}"),
        *(f"--ssl_config_file={config}", f"--rest_ssl_config_file={config}"),
        "--enable_request_capture",
    )


@pytest.fixture(scope="module")
def plain(start_server: StartServer, recorded_models: Path, folder: Path) -> ServerProcess:
    """Asks its clients for nothing."""
    return started(start_server, recorded_models, folder / "plain.config")


@pytest.fixture(scope="module")
def verified(start_server: StartServer, recorded_models: Path, folder: Path) -> ServerProcess:
    """Verifies its clients."""
    return started(start_server, recorded_models, folder / "verified.config")


@pytest.fixture
def body(tmp_path: Path) -> str:
    file = tmp_path / "body.json"
    file.write_text('{"inputs": {"x": 2.5}}')
    return f"--json={file}"


def commands(server: ServerProcess, body: str) -> list[list[str]]:
    """Those that ask and are answered, over either protocol."""
    model = "--model=identity"
    over_grpc = [f"--server=localhost:{server.grpc_port}", model]
    over_rest = f"--server=localhost:{server.rest_port}"
    return [
        ["predict", *over_grpc, body],
        ["predict", "--rest", over_rest, model, body],
        ["status", over_rest],
        ["status", *over_grpc],
    ]


@pytest.fixture(params=range(4), ids=["predict", "predict-rest", "status", "status-of-one"])
def number(request: pytest.FixtureRequest) -> int:
    """Of a command."""
    return int(request.param)


def address(words: list[str]) -> str:
    """Of the server that a command calls."""
    (server,) = (word for word in words if word.startswith("--server="))
    return server.removeprefix("--server=")


def shown(capsys: Capture, words: list[str]) -> str:
    assert cli.run(words) == 0, capsys.readouterr().err
    return str(capsys.readouterr().out)


def refusal(capsys: Capture, words: list[str]) -> str:
    assert cli.run(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return str(err)


def test_server_is_verified_with_the_roots_that_are_named(
    plain: ServerProcess, folder: Path, body: str, capsys: Capture, number: int
) -> None:
    words = commands(plain, body)[number]
    answer = shown(capsys, [*words, f"--tls_ca={folder / 'root.crt'}"])
    assert ("2.5" if words[0] == "predict" else "AVAILABLE") in answer
    for untrusting in (f"--tls_ca={folder / 'other.crt'}", "--tls"):
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(capsys, [*words, untrusting])


def test_server_is_verified_with_the_systems_roots(
    plain: ServerProcess,
    folder: Path,
    body: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """OpenSSL, and so the whole system, goes by this variable."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "root.crt"))
    assert shown(capsys, [*commands(plain, body)[number], "--tls"])


def test_server_that_verifies_its_clients_is_shown_a_certificate(
    verified: ServerProcess, folder: Path, body: str, capsys: Capture, number: int
) -> None:
    words = [*commands(verified, body)[number], f"--tls_ca={folder / 'root.crt'}"]
    identity = [f"--tls_cert={folder / 'client.crt'}", f"--tls_key={folder / 'client.key'}"]
    assert shown(capsys, [*words, *identity])
    assert f": {address(words)}: " in refusal(capsys, words)


def test_cleartext_command_says_which_server_did_not_answer(
    plain: ServerProcess, body: str, capsys: Capture, number: int
) -> None:
    words = commands(plain, body)[number]
    assert f": {address(words)}: " in refusal(capsys, words)


def test_capture_is_recorded_over_tls(
    verified: ServerProcess, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    parts = [folder / name for name in ("root.crt", "client.key", "client.crt")]
    credentials = grpc.ssl_channel_credentials(*(part.read_bytes() for part in parts))
    target = f"localhost:{verified.grpc_port}"
    words = ["warmup", "record", f"--server={target}", "--model=identity", "--count=1"]
    words += [f"--output={tmp_path / 'requests'}", f"--tls_ca={parts[0]}"]
    words += [f"--tls_key={parts[1]}", f"--tls_cert={parts[2]}"]
    with Background(target, lambda c: c.predict("identity", {"x": 1.0}) and None, credentials):
        assert "requests: 1 requests" in shown(capsys, words)


BOTH = "must be a certificate and its private key without a password, both PEM text"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"tls_ca": "nowhere"}, "--tls_ca={nowhere}: No such file or directory"),
        ({"tls_ca": "text"}, "--tls_ca={text}: must be certificates as PEM text"),
        ({"tls_ca": "empty"}, "--tls_ca={empty}: must be certificates as PEM text"),
        ({"tls_ca": "bytes"}, "--tls_ca={bytes}: must be certificates as PEM text"),
        ({"tls_cert": "client.crt"}, "--tls_cert and --tls_key must be given together"),
        ({"tls_key": "client.key"}, "--tls_cert and --tls_key must be given together"),
        (
            {"tls_cert": "client.crt", "tls_key": "nowhere"},
            "--tls_key={nowhere}: No such file or directory",
        ),
        (
            {"tls_cert": "client.crt", "tls_key": "server.key"},
            f"--tls_cert={{client.crt}} and --tls_key={{server.key}}: {BOTH}",
        ),
        (
            {"tls_cert": "client.crt", "tls_key": "locked.key"},
            f"--tls_cert={{client.crt}} and --tls_key={{locked.key}}: {BOTH}",
        ),
        (
            {"tls_cert": "text", "tls_key": "client.key"},
            f"--tls_cert={{text}} and --tls_key={{client.key}}: {BOTH}",
        ),
    ],
)
def test_file_that_cannot_be_used_is_named_with_the_reason(
    folder: Path, capsys: Capture, flags: dict[str, str], told: str
) -> None:
    given = [f"--{flag}={folder / name}" for flag, name in flags.items()]
    told = told.replace("{", f"{folder}/").replace("}", "")
    assert refusal(capsys, ["status", *given]).startswith(f"fastserve status: {told}")


def test_system_without_roots_is_told(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    told = refusal(capsys, ["status", "--tls"])
    assert "this system has no root certificates; name some with --tls_ca" in told
