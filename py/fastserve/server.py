"""Builds the parts of a server, starts and stops them in order."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from fastserve import _native, protos
from fastserve.config import ServerConfig
from fastserve.errors import ConfigError
from fastserve.gateway import Gateway
from fastserve.manager import LoadRetries, ModelManager
from fastserve.rpc import RpcServer
from fastserve.servables import Loader
from fastserve.services import model_service, prediction_service
from fastserve.services.mount import generic_handler
from fastserve.sources import FileSystemSource

_log = logging.getLogger(__name__)

_STOP_MARGIN_S = 1.0


def serve(config: ServerConfig) -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit status; raises ConfigError."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s] %(message)s",
    )
    with contextlib.closing(uvloop.new_event_loop()) as loop:
        loop.run_until_complete(ModelServer(config).run())
        # What is left are daemon threads and loaded models: the system frees both at once, while
        # TensorFlow would take its time, and a run that outlasted the grace has no end.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


class ModelServer:
    """One server process: native data plane, model manager, services and REST gateway."""

    def __init__(self, config: ServerConfig) -> None:
        """Builds everything; nothing is bound or loaded yet."""
        self._config = config
        self._native = _native.Server(_native_options(config))
        self._manager: ModelManager[_native.Servable] = ModelManager(
            self._load,
            lambda servables: self._native.publish(servables, {}),
            retries=LoadRetries(
                count=config.max_num_load_retries,
                interval_s=max(0, config.load_retry_interval_micros) / 1e6,
            ),
        )
        self._rpcs = RpcServer(self._native)
        self._rpcs.add_generic_rpc_handlers((
            generic_handler(
                protos.service(prediction_service.SERVICE_NAME),
                prediction_service.PredictionServicer(self._manager),
            ),
            generic_handler(
                protos.service(model_service.SERVICE_NAME),
                model_service.ModelServicer(self._manager),
            ),
        ))  # fmt: skip
        timeout_ms = config.rest_api_timeout_in_ms
        self._gateway = Gateway(
            self._native,
            self._manager,
            max_body_bytes=config.rest_max_body_bytes,
            timeout_s=timeout_ms / 1000 if timeout_ms > 0 else None,
        )
        self._source = FileSystemSource(
            config.model.name, config.model.base_path, self._manager.aspire
        )
        self._loader: Loader | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Binds, loads, serves until told to stop, and drains. Raises ConfigError."""
        self._watch_signals()
        grpc_port = self._start_grpc()
        rest_port = 0
        if self._config.rest_port:
            wanted = max(0, self._config.rest_port)
            rest_port = await self._gateway.start(self._config.rest_host, wanted)
        await asyncio.get_running_loop().run_in_executor(None, self._start_models)
        if not self._stopping.is_set():
            self._announce(grpc_port, rest_port)
        await self._stopping.wait()
        await self._stop()

    def _start_grpc(self) -> int:
        try:
            port = self._native.start()[0]
        except _native.NativeError as error:
            raise ConfigError(error.message) from None
        self._rpcs.start()
        return port

    def _start_models(self) -> None:
        """Opens TensorFlow, looks for versions and waits for the first ones; blocks."""
        config = self._config
        self._loader = Loader(config.saved_model_tags, _session_config(config))
        self._source.start(config.file_system_poll_wait_seconds)
        self._manager.wait_attempted(config.model.name, self._stopping.is_set)

    def _load(self, name: str, version: int, path: Path) -> _native.Servable:
        assert self._loader is not None  # the source starts after it was made
        return self._loader.load(name, version, path)

    def _announce(self, grpc_port: int, rest_port: int) -> None:
        config = self._config
        rest = f", REST on port {rest_port}" if rest_port else ""
        _log.info(
            "Serving model %s from %s: gRPC on port %d%s (%d I/O, %d worker threads)",
            config.model.name,
            config.model.base_path,
            grpc_port,
            rest,
            config.io_threads,
            config.worker_threads,
        )
        if config.port_file is not None:
            ports = {"grpc": grpc_port, "rest": rest_port, "pid": os.getpid()}
            scratch = config.port_file.with_name(f"{config.port_file.name}.{os.getpid()}")
            scratch.write_text(json.dumps(ports))
            scratch.rename(config.port_file)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            os._exit(128 + number)
        _log.info("%s: finishing what is in flight", number.name)
        self._stopping.set()

    async def _stop(self) -> None:
        """Stops accepting, finishes what is in flight within the grace, stops the rest."""
        grace = self._config.shutdown_grace_seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + grace + _STOP_MARGIN_S
        self._manager.stop()
        native = loop.run_in_executor(None, self._native.shutdown, grace)
        await self._gateway.drain(grace)
        # A run that is under way cannot be interrupted, so the wait for its thread is bounded.
        done, _ = await asyncio.wait([native], timeout=max(0.0, end - loop.time()))
        if not done or not native.result():
            _log.warning("requests that outlasted --shutdown_grace_seconds=%g were cut off", grace)


def _native_options(config: ServerConfig) -> _native.ServerOptions:
    options = _native.ServerOptions()
    options.grpc_addresses = [f"[::]:{config.port}"]
    options.io_threads = config.io_threads
    options.worker_threads = config.worker_threads
    options.max_message_bytes = config.max_message_bytes
    options.outputs_as_tensor_content = config.enable_serialization_as_tensor_content
    return options


def _session_config(config: ServerConfig) -> bytes:
    session = protos.ConfigProto(
        intra_op_parallelism_threads=config.intra_op_threads,
        inter_op_parallelism_threads=config.inter_op_threads,
    )
    return bytes(session.SerializeToString())
