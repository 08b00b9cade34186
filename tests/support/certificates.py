"""Certificates made for a test with the openssl program, and the SSLConfig files of a server."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A private key and its certificate, PEM text."""

    key: str
    cert: str


class Authority:
    """Issues certificates. `scratch`: a folder of its own."""

    def __init__(self, scratch: Path, name: str = "test root") -> None:
        self._folder = scratch
        self.root = self._made("root", name, "basicConstraints=critical,CA:TRUE").cert

    def issue(self, name: str, key_type: str = "EC") -> Identity:
        """An identity with that common name, good for a server on this machine's loopback."""
        root = self._folder / "root"
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
        return self._made(
            name, name, names, "-CA", f"{root}.crt", "-CAkey", f"{root}.key", key_type=key_type
        )

    def _made(
        self, file: str, name: str, extension: str, *more: str, key_type: str = "EC"
    ) -> Identity:
        path = self._folder / file
        key = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256") if key_type == "EC" else ("rsa:2048",)
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", *key]
        command += ["-subj", f"/CN={name}", "-addext", extension, *more]
        command += ["-keyout", f"{path}.key", "-out", f"{path}.crt"]
        subprocess.run(command, check=True, capture_output=True)
        return Identity(Path(f"{path}.key").read_text(), Path(f"{path}.crt").read_text())


def ssl_config(server: Identity, custom_ca: str = "", *, client_verify: bool = False) -> str:
    """The text of a file for --ssl_config_file."""
    lines = [
        f"server_key: {json.dumps(server.key)}",
        f"server_cert: {json.dumps(server.cert)}",
        f"custom_ca: {json.dumps(custom_ca)}",
        f"client_verify: {str(client_verify).lower()}",
    ]
    return "\n".join(lines)
