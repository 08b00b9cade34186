"""Several replicas behind Envoy, all of them processes, and calls through it that are counted."""

import contextlib
import json
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
import yaml
from deploy_tools import DEPLOY, free_port, tool
from tensorflow_serving.apis import predict_pb2

from support.grpc_client import Client, predict_request
from support.server import ServerProcess
from support.waiting import wait_until


class Replica:
    """One server that keeps its gRPC port when it is started again."""

    def __init__(self, scratch: Path, *flags: str) -> None:
        self.port = free_port()
        self._scratch = scratch
        self._flags = (f"--port={self.port}", *flags)
        self._starts = 0
        self.launch()

    def launch(self) -> None:
        self._starts += 1
        scratch = self._scratch / f"start-{self._starts}"
        scratch.mkdir(parents=True)
        self.server = ServerProcess(scratch, *self._flags)

    @contextlib.contextmanager
    def slowed(self, share: float) -> Iterator[None]:
        """Lets it run in `share` of each 50 ms only, until the block ends."""
        end = threading.Event()

        def pulse() -> None:
            while not end.is_set():
                self.server.signal(signal.SIGSTOP)
                end.wait(0.05 * (1 - share))
                self.server.signal(signal.SIGCONT)
                end.wait(0.05 * share)

        thread = threading.Thread(target=pulse)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()


class Envoy:
    """Envoy with deploy/envoy/envoy.yaml, in which nothing but addresses was changed."""

    def __init__(self, scratch: Path, clusters: Mapping[str, Sequence[Replica]]) -> None:
        scratch.mkdir(parents=True)
        self.port, self._admin_port = free_port(), free_port()
        config = yaml.safe_load((DEPLOY / "envoy" / "envoy.yaml").read_text())
        config["admin"]["address"] = _address(self._admin_port)
        resources = config["static_resources"]
        resources["listeners"][0]["address"] = _address(self.port)
        for cluster in resources["clusters"]:
            replicas = clusters[cluster["name"]]
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
                {"endpoint": {"address": _address(replica.port)}} for replica in replicas
            ]
        path = scratch / "envoy.yaml"
        path.write_text(yaml.safe_dump(config))
        self._log = (scratch / "log").open("wb")
        self._process = subprocess.Popen(
            [tool("envoy"), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id"],
            stdout=self._log,
            stderr=self._log,
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()

    def _hosts(self, cluster: str) -> Mapping[int, Any]:
        """Port -> what Envoy knows of that replica."""
        url = f"http://127.0.0.1:{self._admin_port}/clusters?format=json"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = json.load(answer)["cluster_statuses"]
        except OSError:
            return {}
        for status in found:
            if status["name"] == cluster:
                hosts = status["host_statuses"]
                return {host["address"]["socket_address"]["port_value"]: host for host in hosts}
        return {}

    def healthy(self, cluster: str) -> set[int]:
        """The ports of the replicas that Envoy's health checks think well of."""
        failing = ("failed_active_health_check", "pending_active_hc")
        return {
            port
            for port, host in self._hosts(cluster).items()
            if not any(host["health_status"].get(flag) for flag in failing)
        }

    def calls(self, cluster: str) -> Counter[int]:
        """Port -> calls that the replica there was sent so far, retries included."""
        return Counter(
            {
                port: int(stat["value"])
                for port, host in self._hosts(cluster).items()
                for stat in host["stats"]
                if stat["name"] == "rq_total" and "value" in stat
            }
        )

    def await_healthy(self, cluster: str, replicas: Sequence[Replica]) -> None:
        ports = {replica.port for replica in replicas}
        wait_until(
            lambda: self.healthy(cluster) == ports, 60.0, f"{cluster} has the replicas {ports}"
        )


def _address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@dataclass
class Tally:
    """How calls went."""

    values: Counter[float] = field(default_factory=Counter)
    """What was answered."""
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def answers(self) -> int:
        return self.values.total()


def half_plus(model: str) -> predict_pb2.PredictRequest:
    """Asks half_plus_two for what it makes of zero: what it adds, which tells its version."""
    return predict_request(model, {"x": np.float32([0.0])})


class Load:
    """The same call through `port` from `clients` threads, over and over, until the block ends."""

    def __init__(
        self,
        port: int,
        request: predict_pb2.PredictRequest,
        *,
        clients: int = 4,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.tally = Tally()
        self._port, self._request, self._headers = port, request, tuple(headers)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Tally:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self.tally

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.tally.seconds = time.monotonic() - self._began

    def _run(self) -> None:
        with Client(self._port) as client:
            while not self._stop.is_set():
                self._call(client)

    def _call(self, client: Client) -> None:
        try:
            answer = client.prediction.Predict(self._request, timeout=10, metadata=self._headers)
        except grpc.RpcError as error:
            with self._lock:
                self.tally.failures[f"{error.code().name}: {error.details()}"] += 1
        else:
            (output,) = answer.outputs.values()
            with self._lock:
                self.tally.values[tf.make_ndarray(output).item()] += 1
