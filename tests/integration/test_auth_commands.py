"""Commands that call a server which asks for tokens."""

from pathlib import Path

import pytest

from fastserve import cli
from support.background import Background
from support.server import ServerProcess, StartServer
from support.tokens import (
    ADMIN,
    CLIENT,
    HOW,
    NOT_ADMIN,
    WRONG,
    predicts,
    written,
)


@pytest.fixture(scope="module")
def server(
    start_server: StartServer, recorded_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    folder = tmp_path_factory.mktemp("tokens")
    return start_server(
        *("--model_name=identity", f"--model_base_path={recorded_models / 'identity'}"),
        f"--auth_token_file={written(folder / 'clients', CLIENT)}",
        f"--admin_auth_token_file={written(folder / 'admins', ADMIN)}",
        "--enable_request_capture",
    )


COMMANDS = {
    "predict": lambda s: ("predict", f"--server=localhost:{s.grpc_port}", "--model=identity"),
    "predict over REST": lambda s: (
        *("predict", "--rest", f"--server=localhost:{s.rest_port}", "--model=identity"),
    ),
    "status": lambda s: ("status", f"--server=localhost:{s.rest_port}"),
    "status of one": lambda s: (
        *("status", f"--server=localhost:{s.grpc_port}", "--model=identity"),
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("given_by", ["flag", "variable"])
def test_commands_show_their_token(
    server: ServerProcess,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    given_by: str,
) -> None:
    words = list(COMMANDS[name](server))
    if words[0] == "predict":
        body = tmp_path / "body.json"
        body.write_text('{"inputs": {"x": 2.5}}')
        words.append(f"--json={body}")
    monkeypatch.delenv("FASTSERVE_AUTH_TOKEN", raising=False)
    assert cli.run(words) == 1
    assert HOW in capsys.readouterr().err
    if given_by == "flag":
        monkeypatch.setenv("FASTSERVE_AUTH_TOKEN", WRONG)  # the flag comes first
        words.append(f"--auth_token_file={written(tmp_path / 'tokens', CLIENT, WRONG)}")
    else:
        monkeypatch.setenv("FASTSERVE_AUTH_TOKEN", CLIENT)
    assert cli.run(words) == 0
    monkeypatch.setenv("FASTSERVE_AUTH_TOKEN", "not a token")
    if given_by == "variable":
        assert cli.run(words) == 1
        told = capsys.readouterr().err
        assert "FASTSERVE_AUTH_TOKEN: a token must be of visible ASCII characters" in told
        assert "not a token" not in told


def test_capture_is_recorded_with_an_administrators_token(
    server: ServerProcess,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["warmup", "record", f"--server=localhost:{server.grpc_port}", "--model=identity"]
    words += [f"--output={tmp_path / 'requests'}", "--count=1"]
    monkeypatch.setenv("FASTSERVE_AUTH_TOKEN", CLIENT)
    assert cli.run(words) == 1
    assert f"PERMISSION_DENIED: {NOT_ADMIN}" in capsys.readouterr().err
    monkeypatch.setenv("FASTSERVE_AUTH_TOKEN", ADMIN)
    with Background(server.grpc_port, lambda client: predicts(client, CLIENT)):
        assert cli.run(words) == 0
    assert "requests: 1 requests" in capsys.readouterr().out
