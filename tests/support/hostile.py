"""Clients that break off, send nonsense, flood or do not read, over gRPC's port and REST's."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from random import Random

from support import http2_frames as h2
from support import rest

PREDICT = "/tensorflow.serving.PredictionService/Predict"
LEFT_OPEN = 50
"""Connections that all attackers together leave open."""


class Attackers:
    """Threads that attack a server until the block ends."""

    def __init__(
        self, ports: tuple[int, int], message: bytes, path: str, seed: int, threads: int = 4
    ) -> None:
        """`ports`: of gRPC and REST. `message`, `path`: a Predict of gRPC, and one of REST."""
        self._grpc_port, self._rest_port = ports
        self._message, self._path = message, path
        self._stop = threading.Event()
        self._open: deque[socket.socket] = deque()
        self._threads = [
            threading.Thread(target=self._run, args=(Random(f"{seed}/{number}"),))
            for number in range(threads)
        ]
        self.counts: Counter[str] = Counter()
        """How often each attack was carried out."""

    def __enter__(self) -> "Attackers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        while self._open:
            self._open.popleft().close()

    def _run(self, random: Random) -> None:
        attacks: list[Callable[[Random], None]] = [
            self.cut_off,
            self.altered,
            self.garbage,
            self.random_frames,
            self.control_flood,
            self.rapid_reset,
            self.slow_reader,
            self.half_open,
        ]
        while not self._stop.is_set():
            attack = random.choice(attacks)
            with contextlib.suppress(OSError):  # the server may cut it off at any moment
                attack(random)
            self.counts[attack.__name__] += 1

    def cut_off(self, random: Random) -> None:
        data, port = self._exchange(random)
        with self._connect(port) as client:
            client.sendall(data[: random.randint(0, len(data))])
            _leave(client, random)

    def altered(self, random: Random) -> None:
        data, port = self._exchange(random)
        changed = bytearray(data)
        for _ in range(random.randint(1, 5)):
            changed[random.randrange(len(changed))] = random.randrange(256)
        self._send_and_leave(port, bytes(changed), random)

    def garbage(self, random: Random) -> None:
        begin = random.choice((b"", h2.PREFACE, h2.PREFACE + h2.settings(), b"POST / HTTP/1.1\r\n"))
        data = begin + random.randbytes(random.randint(1, 4096))
        self._send_and_leave(random.choice((self._grpc_port, self._rest_port)), data, random)

    def random_frames(self, random: Random) -> None:
        frames = (
            h2.frame(
                random.randrange(12),
                random.randrange(256),
                random.randrange(8),
                random.randbytes(random.choice((0, 4, 5, 6, 8, 40))),
            )
            for _ in range(200)
        )
        self._send_and_leave(self._grpc_port, self._hello(random) + b"".join(frames), random)

    def control_flood(self, random: Random) -> None:
        kinds = (
            h2.frame(h2.PING, 0, 0, bytes(8)),
            h2.settings(),
            h2.frame(h2.PRIORITY, 0, 1, bytes(5)),
            h2.frame(h2.HEADERS, 0, 1) + h2.frame(h2.CONTINUATION, 0, 1) * 20,
        )
        data = self._hello(random) + random.choice(kinds) * random.randint(1, 3000)
        self._send_and_leave(self._grpc_port, data, random)

    def rapid_reset(self, random: Random) -> None:
        streams = range(1, 2 * random.randint(1, 1000), 2)
        data = b"".join(h2.grpc_headers(stream, PREDICT) + h2.reset(stream) for stream in streams)
        self._send_and_leave(self._grpc_port, self._hello(random) + data, random)

    def slow_reader(self, random: Random) -> None:
        window = {h2.INITIAL_WINDOW_SIZE: random.choice((0, 1, 1000, 2**31 - 1))}
        with self._connect(self._grpc_port) as client:
            client.sendall(h2.PREFACE + h2.settings(window))
            client.sendall(b"".join(self._call(stream) for stream in range(1, 40, 2)))
            for _ in range(random.randint(1, 10)):
                client.recv(100)
                time.sleep(0.01)  # the slow part
            _leave(client, random)

    def half_open(self, random: Random) -> None:
        data, port = self._exchange(random)
        client = self._connect(port)
        self._open.append(client)
        client.sendall(data[: random.randint(0, len(data))])
        while len(self._open) > LEFT_OPEN:
            self._open.popleft().close()

    def _connect(self, port: int) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=5)

    def _send_and_leave(self, port: int, data: bytes, random: Random) -> None:
        with self._connect(port) as client:
            client.sendall(data)
            client.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                client.recv(65536)
            _leave(client, random)

    def _hello(self, random: Random) -> bytes:
        values = random.choice(({}, {h2.INITIAL_WINDOW_SIZE: 0}, {h2.INITIAL_WINDOW_SIZE: 10}))
        return h2.PREFACE + h2.settings(values)

    def _call(self, stream: int) -> bytes:
        data = h2.frame(h2.DATA, h2.END_STREAM, stream, h2.grpc_message(self._message))
        return h2.grpc_headers(stream, PREDICT) + data

    def _exchange(self, random: Random) -> tuple[bytes, int]:
        """What an honest client could send, and where."""
        if random.random() < 0.3:
            body = json.dumps({"inputs": [random.random() for _ in range(200)]}).encode()
            return rest.request("POST", self._path, body), self._rest_port
        streams = range(1, 2 * random.randint(1, 5), 2)
        calls = b"".join(self._call(stream) for stream in streams)
        return self._hello(random) + calls, self._grpc_port


def _leave(client: socket.socket, random: Random) -> None:
    """Ends a connection in one of three ways; its socket is closed next."""
    how = random.randrange(3)
    if how == 0:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how == 1:
        client.shutdown(socket.SHUT_WR)
