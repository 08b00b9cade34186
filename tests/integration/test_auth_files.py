"""Files of tokens: bad ones, ones that change under a running server, and TLS beside them."""

import http.client
import signal
import ssl
from pathlib import Path

import grpc
import pytest

from support.certificates import Authority, ssl_config
from support.grpc_client import Client
from support.layout import write_whole
from support.server import StartServer, run_to_end
from support.tokens import (
    ADMIN,
    BODY,
    CLIENT,
    NO_TOKEN,
    OK,
    PREDICT,
    get,
    predicts,
    written,
)
from support.waiting import wait_until


@pytest.fixture
def base(recorded_models: Path) -> tuple[str, ...]:
    """Flags of a server of the model identity."""
    return "--model_name=identity", f"--model_base_path={recorded_models / 'identity'}"


@pytest.mark.parametrize("told_by", ["signal", "file"])
def test_new_tokens_hold_for_connections_that_are_open(
    start_server: StartServer, base: tuple[str, ...], tmp_path: Path, told_by: str
) -> None:
    file = written(tmp_path / "tokens", CLIENT)
    server = start_server(*base, f"--auth_token_file={file}")
    held = http.client.HTTPConnection("localhost", server.rest_port, timeout=30)

    def over_rest(token: str) -> int:
        held.request("POST", PREDICT, BODY, {"Authorization": f"Bearer {token}"})
        answer = held.getresponse()
        answer.read()
        return answer.status

    def replace(text: str) -> None:
        write_whole(file, text)
        if told_by == "signal":
            server.signal(signal.SIGHUP)

    with Client(server.grpc_port) as client:
        states: list[grpc.ChannelConnectivity] = []
        assert predicts(client, CLIENT) is OK
        client.channel.subscribe(states.append)
        assert over_rest(CLIENT) == 200
        sock = held.sock
        replace(f"{CLIENT}\nsecond-token-0123456789\n")  # both, while clients change over
        wait_until(lambda: predicts(client, "second-token-0123456789") is OK, 10, "the new token")
        assert predicts(client, CLIENT) is OK
        replace("second-token-0123456789\n")
        wait_until(lambda: predicts(client, CLIENT) is NO_TOKEN, 10, "the old token's end")
        assert over_rest(CLIENT) == 401
        assert over_rest("second-token-0123456789") == 200
        for bad, why in {
            "": "there is no token in it",
            "short": "line 1: a token has 5 characters",
            "third-token-0123456789\n\0\n": "line 2: a token must be of visible ASCII",
        }.items():
            replace(bad)
            kept = f"tokens stay as they were: INVALID_ARGUMENT: --auth_token_file={file}: {why}"
            wait_until(lambda text=kept: text in server.log(), 10, "the bad file's error")
            assert predicts(client, "second-token-0123456789") is OK
            assert predicts(client, "third-token-0123456789") is NO_TOKEN
        file.unlink()
        wait_until(lambda: "No such file or directory" in server.log(), 10, "the missing file")
        assert predicts(client, "second-token-0123456789") is OK
        assert over_rest("second-token-0123456789") == 200
        assert held.sock is sock, "the connection was opened anew"
        assert set(states) <= {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE}
    held.close()
    assert "token-0123456789" not in server.log()


IN_CLEAR = "tokens cross the network in clear: "


@pytest.mark.parametrize("flag", ["auth_token_file", "admin_auth_token_file"])
def test_tokens_in_clear_are_warned_of_once_at_start(
    start_server: StartServer, base: tuple[str, ...], tmp_path: Path, flag: str
) -> None:
    tokens = f"--{flag}={written(tmp_path / 'tokens', CLIENT)}"
    server = start_server(*base, tokens, "--grpc_listen_addresses=127.0.0.1:0")
    assert server.log().count(IN_CLEAR) == 1
    (line,) = (line for line in server.log().splitlines() if IN_CLEAR in line)
    assert line.endswith(
        "gRPC on [::]:0 (without --ssl_config_file), REST on [::]:0 (without "
        "--rest_ssl_config_file)"
    )


def test_bad_file_is_told_of_once(
    start_server: StartServer, base: tuple[str, ...], tmp_path: Path
) -> None:
    clients, admins = tmp_path / "clients", tmp_path / "admins"
    written(clients, CLIENT)
    written(admins, ADMIN)
    server = start_server(
        *(*base, f"--auth_token_file={clients}"),
        f"--admin_auth_token_file={admins}",
    )
    write_whole(clients, "short")
    wait_until(lambda: "tokens stay as they were" in server.log(), 10, "the error")
    for number in range(2):  # after the second one, the bad file was looked at again
        token = f"admin-token-{number}-0123456789"
        written(admins, token)
        wait_until(lambda t=token: get(server, "/metrics", t).status == 200, 10, "the next token")
    assert server.log().count("tokens stay as they were") == 1


def test_tokens_are_asked_for_over_tls_too(
    start_server: StartServer, base: tuple[str, ...], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    tls = tmp_path / "ssl.config"
    tls.write_text(ssl_config(authority.issue("server")))
    server = start_server(
        *base,
        *(f"--ssl_config_file={tls}", f"--rest_ssl_config_file={tls}"),
        f"--auth_token_file={written(tmp_path / 'tokens', CLIENT)}",
    )
    assert IN_CLEAR not in server.log()
    credentials = grpc.ssl_channel_credentials(authority.root.encode())
    bearing = grpc.composite_channel_credentials(
        credentials, grpc.access_token_call_credentials(CLIENT)
    )
    target = f"localhost:{server.grpc_port}"
    with Client(target, credentials) as client:
        assert predicts(client, None) is NO_TOKEN
        assert predicts(client, CLIENT) is OK
    with Client(target, bearing) as client:  # as grpcio sends a token by itself
        assert predicts(client, None) is OK
    context = ssl.create_default_context(cadata=authority.root)
    for fields, status in (({}, 401), ({"Authorization": f"Bearer {CLIENT}"}, 200)):
        connection = http.client.HTTPSConnection(
            "localhost", server.rest_port, timeout=30, context=context
        )
        connection.request("POST", PREDICT, BODY, fields)
        assert connection.getresponse().status == status
        connection.close()


@pytest.mark.parametrize(
    ("flag", "content", "wanted"),
    [
        ("auth_token_file", None, "No such file or directory"),
        ("auth_token_file", b"too-short", "line 1: a token has 9 characters; it must have from 16"),
        ("admin_auth_token_file", b"", "there is no token in it"),
        ("admin_auth_token_file", b"# a\ntoken\xff0123456789abcdef", "line 2: a token must be of"),
    ],
    ids=["missing", "short", "empty", "binary"],
)
def test_bad_file_ends_the_start_and_is_named(
    base: tuple[str, ...], tmp_path: Path, flag: str, content: bytes | None, wanted: str
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    ended = run_to_end(
        *("--port=0", "--rest_api_port=auto", f"--{flag}={file}"),
        *base,
    )
    assert ended.returncode == 255
    assert f"--{flag}={file}: {wanted}" in ended.stderr
    assert "0123456789" not in ended.stderr
    assert "too-short" not in ended.stderr
    assert "Traceback" not in ended.stderr
