"""Listeners whose traffic others on the network may read."""

from __future__ import annotations

import ipaddress

from fastserve.config.server import ServerConfig


def cleartext_listeners(config: ServerConfig) -> list[str]:
    """Returns what to tell of the listeners without TLS that other machines may reach.

    A host's name other than localhost counts as such, whatever it stands for.
    """
    rest = (f"[::]:{max(0, config.rest.port)}",) if config.rest.enabled else ()
    return [
        f"{protocol} on {address} (without --{flag})"
        for protocol, addresses, flag, file in (
            ("gRPC", config.grpc.addresses, "ssl_config_file", config.grpc.ssl_config_file),
            ("REST", rest, "rest_ssl_config_file", config.rest.ssl_config_file),
        )
        for address in addresses
        if not file and not _is_local(address)
    ]


def _is_local(address: str) -> bool:
    """Whether only processes of this machine reach host:port or unix:path."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
