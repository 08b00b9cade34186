"""Which listeners are told of as readable by others."""

import pytest

from fastserve.config.cleartext import cleartext_listeners
from fastserve.config.server import ANY_PORT, GrpcConfig, RestConfig, ServerConfig


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/s", "unix:/10.0.0.1:1"],
)
def test_what_only_this_machine_reaches_is_not_told_of(address: str) -> None:
    grpc = GrpcConfig(port=0, socket_path="/s", listen_addresses=(address,))
    assert cleartext_listeners(ServerConfig(grpc=grpc)) == []


@pytest.mark.parametrize("address", ["10.0.0.1:1", ":1", "0.0.0.0:1", "[fe80::1]:1", "host:1"])
def test_what_other_machines_reach_is_told_of(address: str) -> None:
    grpc = GrpcConfig(port=0, socket_path="/s", listen_addresses=(address,))
    told = cleartext_listeners(ServerConfig(grpc=grpc))
    assert told == [f"gRPC on {address} (without --ssl_config_file)"]


def test_ports_are_told_of_unless_they_speak_tls() -> None:
    told = cleartext_listeners(ServerConfig(rest=RestConfig(port=8501)))
    assert told == [
        "gRPC on [::]:8500 (without --ssl_config_file)",
        "REST on [::]:8501 (without --rest_ssl_config_file)",
    ]
    grpc, rest = GrpcConfig(ssl_config_file="f"), RestConfig(port=ANY_PORT, ssl_config_file="f")
    assert cleartext_listeners(ServerConfig(grpc=grpc, rest=rest)) == []
