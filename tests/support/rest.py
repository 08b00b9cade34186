"""A plain HTTP/1.1 client over a socket, so that requests need not be correct."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One HTTP response; status 0: the connection closed, or stayed silent, without one."""

    status: int
    reason: str
    headers: dict[str, str]
    """Keys in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an error body."""
        value = self.json()
        assert list(value) == ["error"], value
        return str(value["error"])


class Connection:
    """One connection whose answers are read one after the other."""

    def __init__(self, port: int, seconds: float = 30.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._end = time.monotonic() + seconds
        self._data = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def answer(self, verb: str = "GET") -> Answer:
        """The next answer. `verb` is the request's: an answer to HEAD has no body."""
        try:
            while True:
                head = self._until(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines)
                headers = {key.strip().lower(): value.strip() for key, _, value in pairs}
                status = int(first.split(" ")[1])
                if status != 100:
                    break
            body = b"" if verb == "HEAD" or status == 204 else self._body(headers)
            return Answer(status, first.partition(" ")[2].partition(" ")[2], headers, body)
        except (EOFError, OSError) as e:
            return Answer(0, type(e).__name__, {}, self._data)

    def interim_status(self) -> int:
        """The status of the next head alone, such as 100."""
        return int(self._until(b"\r\n\r\n").split(b" ")[1])

    def closed_by_peer(self) -> bool:
        """Waits for the end of the connection; False when more bytes came first."""
        try:
            return not self._data and not self._socket.recv(1)
        except ConnectionResetError:
            return True

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
            return body
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        try:  # up to the end of the connection
            while True:
                self._more()
        except EOFError:
            body, self._data = self._data, b""
            return body

    def _more(self) -> None:
        self._socket.settimeout(max(0.01, self._end - time.monotonic()))
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise EOFError
        self._data += chunk

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._more()
        found, _, self._data = self._data.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            self._more()
        found, self._data = self._data[:size], self._data[size:]
        return found


def send(port: int, request: bytes, seconds: float = 30.0, verb: str = "GET") -> Answer:
    """Sends raw bytes on a connection of their own and reads one answer."""
    with Connection(port, seconds) as connection:
        with contextlib.suppress(OSError):  # it may answer, and close, before it has read it all
            connection.send(request)
        return connection.answer(verb)


def head(verb: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request, its final empty line included."""
    lines = [f"{verb} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def request(verb: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of one request; a header `Content_Type=...` is sent as Content-Type."""
    fields = {"Host": "localhost"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if body or verb == "POST":
        fields["Content-Length"] = str(len(body))
    return head(verb, path, fields) + body


def get(port: int, path: str) -> Answer:
    return send(port, request("GET", path, Connection="close"))


def post(port: int, path: str, body: Any) -> Answer:
    """POSTs `body`: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(port, request("POST", path, data, Connection="close"))
