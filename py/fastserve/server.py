"""Builds the parts of a server, starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from fastserve import _native, protos
from fastserve.config.auth import read_tokens
from fastserve.config.cleartext import cleartext_listeners
from fastserve.config.cpus import available_cpus
from fastserve.config.model_config_file import (
    check_transition,
    models_from_proto,
    read_model_config_file,
)
from fastserve.config.models import ModelConfig
from fastserve.config.observe import ObserveConfig
from fastserve.config.server import ServerConfig
from fastserve.config.tls import TlsConfig, read_tls_config
from fastserve.errors import ConfigError, ServingError
from fastserve.gateway import pages
from fastserve.gateway.gateway import Gateway
from fastserve.gateway.pages import Access
from fastserve.manager.manager import ModelManager
from fastserve.manager.reloader import ConfigFileWatcher, ConfigReloader, not_available
from fastserve.manager.scheduling import ThreadScheduler
from fastserve.observe.access_log import AccessLog
from fastserve.observe.request_log import RequestLog
from fastserve.routing.table import RoutingTable
from fastserve.rpc import RpcServer
from fastserve.servables.batching import Batcher
from fastserve.servables.loader import VersionLoader
from fastserve.servables.runtime import enable_xla, load_op_libraries
from fastserve.services import (
    health,
    model_service,
    prediction_service,
    reflection,
    request_capture,
)
from fastserve.services.mount import generic_handler
from fastserve.sources.file_system import FileSystemSource
from fastserve.sources.remote import RemoteSource, default_directory
from fastserve.watched_file import WatchedFile

if TYPE_CHECKING:
    from fastserve.observe.traces import Traces

_LOGGER = logging.getLogger(__name__)

_STOP_MARGIN_S = 1.0
"""After the grace, for the native side to cut off what is left."""

_LAST_TRACES_S = 1.0
"""At the end, for the collector to take the last traces."""


def serve(config: ServerConfig) -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit status; raises ServingError.

    Threads that still load or run a model may be left behind: the caller ends the process.
    """
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(ModelServer(config).run())


class ModelServer:
    """One server process: native data plane, model manager, services and REST gateway."""

    def __init__(self, config: ServerConfig) -> None:
        """Builds everything; nothing is bound or loaded yet."""
        self._config = config
        cpus = available_cpus()
        self._io_threads = config.io_threads or cpus
        self._worker_threads = config.worker_threads or cpus
        self._native = _native.Server(self._native_options())
        self._batchers = {
            name: Batcher(platform.batching, default_threads=platform.default_batch_threads)
            for name, platform in config.platforms.items()
            if platform.batching is not None
        }
        self._manager = ModelManager(
            {
                name: VersionLoader(platform, self._batchers.get(name))
                for name, platform in config.platforms.items()
            },
            self._publish,
            config=config.load,
            scheduler=ThreadScheduler(
                load_threads=config.load.num_load_threads,
                unload_threads=config.load.num_unload_threads,
            ),
        )
        self._source = RemoteSource(
            FileSystemSource(
                self._manager,
                poll_wait_s=config.load.poll_wait_s,
                always_present=config.load.always_present,
                fail_if_no_versions=config.load.fail_if_no_versions,
            ),
            self._manager,
            directory=Path(config.load.remote_directory or default_directory()),
            poll_wait_s=config.load.remote_poll_wait_s,
        )
        self._request_log = RequestLog({name: each.tags for name, each in config.platforms.items()})
        self._reloader = ConfigReloader(
            self._manager,
            self._source,
            self._request_log,
            allow_unavailable_labels=config.allow_unavailable_labels,
        )
        self._file_config = config.model_config
        self._config_file = ConfigFileWatcher(
            self._read_config_file, self._reloader, poll_wait_s=config.config_file_poll_wait_s
        )
        self._files = [*self._certificate_files(), *self._token_files()]
        self._stopping = asyncio.Event()
        self._access_log = _access_log(config.observe)
        self._traces = _traces(config.observe)
        self._rpcs = RpcServer(self._native, access_log=self._access_log)
        self._mount_services()
        self._gateway = Gateway(
            self._native,
            self._manager,
            config=config.rest,
            pages=self._pages(),
            authenticate=config.auth.enabled,
            access_log=self._access_log,
            traces=self._traces,
        )

    async def run(self) -> int:
        """Binds, loads, serves until told to stop, and drains. Returns the exit status.

        Raises ServingError when a library cannot be read, a port cannot be had, or, with a strict
        start, a model does not become available.
        """
        try:
            await self._start()
        except ServingError:
            await self._stop(grace_s=0.0)  # a socket's file goes with its listener
            raise
        await self._stopping.wait()
        await asyncio.sleep(self._config.observe.drain_delay_s)
        await self._stop(self._config.shutdown_grace_s)
        return 0

    async def _start(self) -> None:
        models = self._config.models
        loop = asyncio.get_running_loop()
        auth = self._config.auth
        if auth.token_file and not auth.admin_token_file:
            _LOGGER.info("without --admin_auth_token_file, reload, capture and metrics are closed")
        if auth.enabled and (listeners := cleartext_listeners(self._config)):
            _LOGGER.warning("tokens cross the network in clear: %s", ", ".join(listeners))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        for file in self._files:
            file.load()
            file.watch()
        grpc_port = self._start_grpc()
        rest_port = await self._gateway.start() if self._config.rest.enabled else 0
        if self._config.model_config_file or self._files:
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        if self._config.xla:
            enable_xla()
        if libraries := self._config.custom_op_libraries:
            await loop.run_in_executor(None, load_op_libraries, libraries)
        self._reloader.start(models)
        self._health.update(self._manager.readiness())
        self._source.start()
        if await loop.run_in_executor(None, self._await_models, models):
            self._announce(grpc_port, rest_port)
        if self._config.model_config_file:
            self._config_file.start(models)

    # Parts

    def _native_options(self) -> _native.ServerOptions:
        options = _native.ServerOptions()
        options.grpc_addresses = list(self._config.grpc.addresses)
        options.unix_mode = self._config.grpc.socket_mode
        transport = self._config.grpc.transport
        for field in dataclasses.fields(transport):
            setattr(options, field.name, getattr(transport, field.name))
        options.reset_burst = transport.reset_burst
        options.control_frame_burst = transport.control_frame_burst
        options.max_message_bytes = self._config.grpc.max_message_bytes
        options.io_threads = self._io_threads
        options.worker_threads = self._worker_threads
        options.outputs_as_tensor_content = self._config.outputs_as_tensor_content
        options.check_method_names = self._config.check_method_names
        options.authenticate = self._config.auth.enabled
        return options

    def _mount_services(self) -> None:
        servicers: dict[str, object] = {
            prediction_service.SERVICE_NAME: prediction_service.PredictionServicer(self._manager),
            model_service.SERVICE_NAME: model_service.ModelServicer(self._manager, self._reload),
        }
        if self._config.request_capture:
            tap = request_capture.RequestCaptureServicer(self._native)
            servicers[request_capture.SERVICE_NAME] = tap
        self._health = health.HealthServicer(servicers)
        servicers[health.SERVICE_NAME] = self._health
        self._rpcs.add_generic_rpc_handlers(
            generic_handler(protos.service(name), servicer) for name, servicer in servicers.items()
        )
        self._rpcs.add_generic_rpc_handlers(reflection.handlers(servicers))

    def _pages(self) -> dict[str, pages.Page]:
        found = {
            "/healthz": pages.ALIVE_PAGE,
            "/readyz": pages.ready_page(self._manager.readiness, self._stopping.is_set),
        }
        if self._config.observe.metrics:
            found["/metrics"] = pages.metrics_page(self._connections, self._manager.readiness)
        if path := self._config.observe.serving_page:
            found[path] = pages.SERVING_METRICS_PAGE
        return found

    def _connections(self) -> Mapping[str, int]:
        return {"grpc": self._native.connections, "rest": self._gateway.connections}

    def _publish(self, table: RoutingTable) -> None:
        # The loader makes no others.
        servables = cast("list[_native.Servable]", table.all_servables())
        self._native.publish(servables, table.labels, table.pending)
        self._health.update(table.readiness())

    def _start_grpc(self) -> int:
        try:
            ports = self._native.start()
        except _native.NativeError as error:
            raise ConfigError(error.message) from error
        self._rpcs.start()
        return ports[0]

    def _use_grpc_tls(self, tls: TlsConfig) -> None:
        try:
            self._native.set_tls(
                server_key=tls.server_key,
                server_cert=tls.server_cert,
                client_roots=tls.custom_ca,
                verify_clients=tls.client_verify,
            )
        except _native.NativeError as error:
            raise ValueError(error.message) from error

    def _use_rest_tls(self, tls: TlsConfig) -> None:
        self._gateway.use_tls(tls.ssl_context())

    def _certificate_files(self) -> list[WatchedFile]:
        return [
            WatchedFile(flag, path, "keys and certificates", read=read_tls_config, use=use)
            for flag, path, use in (
                ("ssl_config_file", self._config.grpc.ssl_config_file, self._use_grpc_tls),
                ("rest_ssl_config_file", self._config.rest.ssl_config_file, self._use_rest_tls),
            )
            if path
        ]

    def _token_files(self) -> list[WatchedFile]:
        return [
            WatchedFile(
                flag,
                path,
                "tokens",
                read=read_tokens,
                use=functools.partial(self._native.set_tokens, access.value),
            )
            for flag, path, access in (
                ("auth_token_file", self._config.auth.token_file, Access.PREDICT),
                ("admin_auth_token_file", self._config.auth.admin_token_file, Access.ADMINISTER),
            )
            if path
        ]

    # Models

    def _models_of(self, config: protos.ModelServerConfig) -> Sequence[ModelConfig]:
        return models_from_proto(
            config,
            transitions=self._config.transitions,
            platforms=self._config.platforms,
            present_platforms=self._manager.platforms(),
            allow_unavailable_labels=self._config.allow_unavailable_labels,
        )

    def _read_config_file(self) -> Sequence[ModelConfig]:
        for batcher in self._batchers.values():
            batcher.reload()
        config = read_model_config_file(self._config.model_config_file)
        check_transition(self._file_config, config)
        models = self._models_of(config)
        self._file_config = config
        return models

    def _reload(self, config: protos.ModelServerConfig) -> None:
        self._reloader.reload(self._models_of(config))

    def _await_models(self, models: Sequence[ModelConfig]) -> bool:
        """Waits for every model; False when the server is to stop instead. Raises ServingError."""
        failures = self._manager.wait_until_settled([model.name for model in models])
        if failures:
            error = not_available(failures, "servable(s)")
            if self._config.strict_start:
                raise error
            _LOGGER.error("%s", error)
        return failures is not None

    # Life

    def _announce(self, grpc_port: int, rest_port: int) -> None:
        _LOGGER.info("%d I/O and %d worker threads", self._io_threads, self._worker_threads)
        if grpc_port:
            _LOGGER.info("Running gRPC ModelServer at 0.0.0.0:%d ...", grpc_port)
        if path := self._config.grpc.socket_path:
            _LOGGER.info("Running gRPC ModelServer at UNIX socket %s ...", path)
        if rest_port:
            _LOGGER.info("Exporting HTTP/REST API at:localhost:%d ...", rest_port)
        if self._config.port_file:
            _write_whole(
                Path(self._config.port_file),
                json.dumps({"grpc": grpc_port, "rest": rest_port, "pid": os.getpid()}),
            )

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            os._exit(128 + number)
        _LOGGER.info("%s: finishing what is in flight", number.name)
        self._stopping.set()
        self._health.drain()
        self._config_file.stop()
        self._manager.stop()

    def _on_hangup(self) -> None:
        for file in self._files:
            file.reload()
        if self._config.model_config_file:
            self._config_file.reload_now()

    async def _stop(self, grace_s: float) -> None:
        """Stops accepting, finishes what is in flight within the grace, cuts off the rest."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s + _STOP_MARGIN_S
        for batcher in self._batchers.values():
            batcher.stop_waiting()
        drained = loop.run_in_executor(None, self._native.drain_grpc, grace_s)
        await self._gateway.drain(grace_s)
        native = asyncio.ensure_future(self._stop_native(drained))
        # A run that is under way cannot be interrupted, so the wait for its thread is bounded.
        done, _ = await asyncio.wait([native], timeout=max(0.0, end - loop.time()))
        if not done or not native.result():
            _LOGGER.warning(
                "requests that outlasted --shutdown_grace_seconds=%g were cut off", grace_s
            )
        if self._access_log is not None:
            self._access_log.write_now()
        self._request_log.write_now()
        if self._traces is not None:
            self._traces.stop(_LAST_TRACES_S)

    async def _stop_native(self, drained: asyncio.Future[bool]) -> bool:
        """Stops the data plane once gRPC is drained. Returns whether nothing was cut off."""
        nothing_cut_off = await drained
        # Only now, since REST requests need it too.
        await asyncio.get_running_loop().run_in_executor(None, self._shut_down)
        return nothing_cut_off

    def _shut_down(self) -> None:
        self._native.shutdown(0.0)
        for batcher in self._batchers.values():
            batcher.stop()


def _access_log(config: ObserveConfig) -> AccessLog | None:
    if not config.access_log:
        return None
    return AccessLog(config.access_log, as_json=config.log_format == "json")


def _traces(config: ObserveConfig) -> Traces | None:
    """Begins to send traces, if that is asked for. Raises ConfigError."""
    if not config.otlp_endpoint:
        return None
    try:
        from fastserve.observe.traces import Traces
    except ImportError as error:
        raise ConfigError(
            f"--otlp_endpoint needs the package of {error.name}: pip install 'fastserve[otlp]'"
        ) from error
    return Traces(config.otlp_endpoint, config.trace_sample_ratio)


def _write_whole(path: Path, text: str) -> None:
    """Writes a file that nobody sees half written. Raises ConfigError."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text)
        scratch.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise ConfigError(f"cannot write --port_file={path}: {error.strerror}") from error
