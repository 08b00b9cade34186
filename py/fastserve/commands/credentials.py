"""How a command and the server that it calls prove to each other who they are."""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from fastserve.commands.outcome import CommandError
from fastserve.config.auth import check_token, read_tokens
from fastserve.config.tls import no_password

VARIABLE = "FASTSERVE_AUTH_TOKEN"

_TOKEN_FLAG = "auth_token_file"


@dataclass(frozen=True, slots=True)
class ClientTls:
    """A client's side of TLS, for either protocol."""

    context: ssl.SSLContext
    """For HTTP."""
    channel: grpc.ChannelCredentials
    """For gRPC."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a command calls a server with."""

    fields: Mapping[str, str] = field(repr=False)
    """Header fields, in lower case, that carry a token; none without a token."""
    tls: ClientTls | None
    """None: cleartext."""


def add_credentials(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that read_credentials() reads."""
    parser.add_argument(
        f"--{_TOKEN_FLAG}",
        metavar="FILE",
        help="a file as the server has it, whose first token is sent; without it the token in the "
        f"environment variable {VARIABLE}, if there is one",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="speak TLS, and verify the server with the system's root certificates; the other TLS "
        "flags imply it",
    )
    parser.add_argument(
        "--tls_ca",
        metavar="FILE",
        help="root certificates as PEM text, to verify the server with instead of the system's",
    )
    parser.add_argument(
        "--tls_cert",
        metavar="FILE",
        help="a certificate as PEM text, for a server that verifies its clients",
    )
    parser.add_argument("--tls_key", metavar="FILE", help="its private key as PEM text")


def read_credentials(options: argparse.Namespace) -> Credentials:
    """Returns what the flags and the environment say.

    Raises CommandError or ServingError, without the token, that names the flag or variable, and
    what is wrong with what it names.
    """
    return Credentials(_authorization(options), _tls(options))


def _authorization(options: argparse.Namespace) -> dict[str, str]:
    if options.auth_token_file is not None:
        return _bearer(read_tokens(_TOKEN_FLAG, options.auth_token_file)[0])
    token = os.environ.get(VARIABLE, "")
    if not token:
        return {}
    try:
        check_token(token)
    except ValueError as error:
        raise CommandError(f"{VARIABLE}: {error}") from None
    return _bearer(token)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _tls(options: argparse.Namespace) -> ClientTls | None:
    ca, cert, key = options.tls_ca, options.tls_cert, options.tls_key
    if not options.tls and ca is cert is key is None:
        return None
    if (cert is None) is not (key is None):
        raise CommandError("--tls_cert and --tls_key must be given together")
    roots = _system_roots() if ca is None else _read("tls_ca", ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=roots.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        where = "the system's root certificates" if ca is None else f"--tls_ca={ca}"
        raise CommandError(f"{where}: must be certificates as PEM text ({error})") from None
    if cert is None:
        return ClientTls(context, grpc.ssl_channel_credentials(roots))
    chain, private = _read("tls_cert", cert), _read("tls_key", key)
    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        raise CommandError(
            f"--tls_cert={cert} and --tls_key={key}: must be a certificate and its private key "
            f"without a password, both PEM text ({error})"
        ) from None
    return ClientTls(context, grpc.ssl_channel_credentials(roots, private, chain))


def _system_roots() -> bytes:
    """Returns the certificates that OpenSSL trusts; grpcio would take those that it brings."""
    paths = ssl.get_default_verify_paths()
    files = [Path(paths.cafile)] if paths.cafile else []
    if paths.capath:
        files += Path(paths.capath).glob("*.[0-9]")  # OpenSSL looks at no others
    if not files:
        raise CommandError("this system has no root certificates; name some with --tls_ca")
    return b"\n".join(file.read_bytes() for file in files)


def _read(flag: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CommandError(f"--{flag}={path}: {error.strerror}") from None
