"""Keys and certificates, as a file of TensorFlow Serving's SSLConfig gives them."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field

from fastserve import protos
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """What a listener proves its identity with, and what it asks of its clients. PEM text."""

    server_key: str = field(repr=False)
    server_cert: str
    """May be followed by the certificates that it was issued with."""
    custom_ca: str = ""
    """What client certificates are verified against; empty: the system's roots."""
    client_verify: bool = False
    """Clients without a certificate that can be verified are refused; else none is asked for."""

    def ssl_context(self) -> ssl.SSLContext:
        """Returns the context of an HTTP/1.1 server. ValueError says what is wrong."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # Python reads keys from files only; this one is in memory, and nobody else's.
        with open(os.memfd_create("server"), "w", encoding="utf-8") as file:
            file.write(f"{self.server_key}\n{self.server_cert}")
            file.flush()
            try:
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=no_password)
            except (ssl.SSLError, TypeError) as error:
                raise ValueError(
                    "server_key and server_cert must be a private key without a password and its "
                    f"certificate, both PEM text ({error})"
                ) from None
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                self._load_roots(context)
            except ssl.SSLError as error:
                raise ValueError(f"custom_ca must be certificates as PEM text ({error})") from None
        return context

    def _load_roots(self, context: ssl.SSLContext) -> None:
        if self.custom_ca:
            context.load_verify_locations(cadata=self.custom_ca)
        else:
            context.set_default_verify_paths()


def no_password() -> str:
    """Stands for the password of a key; without it OpenSSL would ask on the terminal."""
    return ""


def read_tls_config(flag: str, path: str) -> TlsConfig:
    """Returns what the file at `path`, given by --`flag`, holds.

    Raises ServingError: NOT_FOUND where there is no file, INVALID_ARGUMENT that names the file and
    what is wrong in it.
    """
    message = read_text_proto(path, protos.SSLConfig)
    for name in ("server_key", "server_cert"):
        if not getattr(message, name):
            raise ConfigError(
                f"--{flag}={path}: {name} is missing; the file must hold an SSLConfig in text "
                "format, with keys and certificates as PEM text"
            )
    return TlsConfig(
        server_key=message.server_key,
        server_cert=message.server_cert,
        custom_ca=message.custom_ca,
        client_verify=message.client_verify,
    )
