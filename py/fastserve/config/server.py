"""How the server listens, loads and runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastserve.config.auth import AuthConfig
from fastserve.config.batching import BatchingConfig
from fastserve.config.cpus import MAX_THREADS, available_cpus
from fastserve.config.gpus import session_gpus
from fastserve.config.models import TENSORFLOW_PLATFORM, ModelConfig, Transitions
from fastserve.config.observe import ObserveConfig
from fastserve.config.transport import TransportConfig
from fastserve.errors import ConfigError

_LOGGER = logging.getLogger(__name__)

ANY_PORT = -1
"""Let the kernel choose a free port."""

MAX_GRPC_MESSAGE_BYTES = 2**31 - 1

MIN_BODY_RATE = 1000
"""Bytes a second at which the body of a REST request may come for as long as it takes."""


def _check_port(flag: str, port: int) -> None:
    if not ANY_PORT <= port <= 65535:
        raise ConfigError(f"--{flag} is {port}; it must be from 1 to 65535, or auto for a free one")


def _check_threads(flag: str, threads: int) -> None:
    if not 0 <= threads <= MAX_THREADS:
        raise ConfigError(
            f"--{flag} is {threads}; it must be 0 (automatic) or at most {MAX_THREADS}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcConfig:
    """The gRPC listener."""

    port: int = 8500
    """ANY_PORT: any free port. 0: none beside a socket, else any free one too."""
    socket_path: str = ""
    """A unix socket to listen on; "": none."""
    socket_mode: int | None = None
    """Permissions of its file; None: those that the umask leaves."""
    listen_addresses: tuple[str, ...] = ()
    """More addresses to listen on: host:port or unix:path."""
    max_message_bytes: int = MAX_GRPC_MESSAGE_BYTES
    """Longest request message."""
    ssl_config_file: str = ""
    """An SSLConfig in text format, read again when it changes; "": no TLS."""
    transport: TransportConfig = field(default_factory=TransportConfig)

    def __post_init__(self) -> None:
        _check_port("port", self.port)
        if not 1 <= self.max_message_bytes <= MAX_GRPC_MESSAGE_BYTES:
            raise ConfigError(
                f"--grpc_max_message_bytes is {self.max_message_bytes}; "
                f"it must be from 1 to {MAX_GRPC_MESSAGE_BYTES}"
            )
        if not all(self.listen_addresses):
            raise ConfigError(
                f"--grpc_listen_addresses is {','.join(self.listen_addresses)!r}; it must be "
                "addresses joined by commas, as 10.0.0.1:8500,[::1]:0"
            )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Everything to listen on: the port, if there is one, first."""
        tcp = () if self.port == 0 and self.socket_path else (f"[::]:{max(0, self.port)}",)
        unix = (f"unix:{self.socket_path}",) if self.socket_path else ()
        return (*tcp, *unix, *self.listen_addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestConfig:
    """The HTTP listener."""

    port: int = 0
    """0: no REST. ANY_PORT: any free port."""
    timeout_ms: int = 30_000
    """For the run of one request; 0 or less: none."""
    max_body_bytes: int = 2**30
    """Longest request body, as received."""
    cors: bool = False
    """Replies may be read by pages of any origin."""
    gzip_replies: bool = False
    """Replies are compressed for clients that admit it."""
    server_timing: bool = False
    """Replies say how long their parts took."""
    header_timeout_s: float = 20.0
    """From the first byte of a request to the end of its header; 0: no limit."""
    body_timeout_s: float = 30.0
    """For a request's body, and a second more for each MIN_BODY_RATE bytes of it; 0: no limit."""
    idle_timeout_s: float = 50.0
    """A connection without traffic and without a request in flight is closed after it."""
    ssl_config_file: str = ""
    """An SSLConfig in text format, read again when it changes; "": no TLS."""

    def __post_init__(self) -> None:
        _check_port("rest_api_port", self.port)
        if self.max_body_bytes < 1:
            raise ConfigError(
                f"--rest_max_body_bytes is {self.max_body_bytes}; it must be at least 1"
            )
        for flag, seconds in (
            ("header", self.header_timeout_s),
            ("body", self.body_timeout_s),
        ):
            if not 0 <= seconds < math.inf:
                raise ConfigError(
                    f"--rest_{flag}_timeout_seconds is {seconds}; it must be 0 (no limit) or more"
                )

    @property
    def enabled(self) -> bool:
        """Whether REST is served at all."""
        return self.port != 0

    @property
    def timeout_s(self) -> float | None:
        """The run's time limit in seconds, None without one."""
        return self.timeout_ms / 1000 if self.timeout_ms > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """How versions are found and loaded."""

    poll_wait_s: int = 1
    """Between two looks at the base paths; 0: look once; negative: never look."""
    remote_poll_wait_s: int = 60
    """Between two looks at base paths that are URIs; 0 or less: look once."""
    remote_directory: str = ""
    """Where their versions are staged; empty: in the user's cache."""
    max_retries: int = 5
    """Further attempts at a version that failed to load."""
    retry_interval_s: float = 60.0
    """Between two attempts; negative: none."""
    num_load_threads: int = 0
    """Loads at the same time; 0: automatic."""
    num_unload_threads: int = 0
    """Unloads at the same time; 0: automatic."""
    always_present: bool = False
    """A look that finds no version of a model keeps what is loaded, and fails a start or reload."""
    fail_if_no_versions: bool = False
    """A model without versions fails a start or reload."""

    def __post_init__(self) -> None:
        _check_threads("num_load_threads", self.num_load_threads)
        _check_threads("num_unload_threads", self.num_unload_threads)
        if self.max_retries < 0:
            raise ConfigError(f"--max_num_load_retries is {self.max_retries}; it must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What the flags say of sessions; 0 leaves a number to TensorFlow."""

    parallelism: int = 0
    """Inter- and intra-op threads in one; not used where one of the other two is set."""
    intra_op: int = 0
    inter_op: int = 0
    gpu_memory_fraction: float = 0.0
    """Of each GPU's memory; above 1 is more than there is, paged from the host's."""
    gpu_memory_growth: bool = True
    """Take GPU memory as it is needed, not all at the start."""
    gpu_memory_limit_mb: int = 0
    """The most that is taken of each GPU, in MiB; 0: no limit of this kind."""
    mixed_precision: str = ""
    """See set_mixed_precision()."""
    base: bytes = b""
    """A serialized tensorflow.ConfigProto with everything that has no setting here."""

    def __post_init__(self) -> None:
        if min(self.parallelism, self.intra_op, self.inter_op) > 0:
            raise ConfigError(
                "Either configure server_options.tensorflow_session_parallelism or "
                "(server_options.tensorflow_intra_op_parallelism, "
                "server_options.tensorflow_inter_op_parallelism) separately. "
                "You cannot configure all."
            )
        for flag, value in (
            ("session", self.parallelism),
            ("intra_op", self.intra_op),
            ("inter_op", self.inter_op),
        ):
            if not 0 <= value < 2**31:
                raise ConfigError(
                    f"--tensorflow_{flag}_parallelism is {value}; it must be 0 (automatic) or a "
                    "number of threads"
                )
        if not 0 <= self.gpu_memory_fraction < math.inf:
            raise ConfigError(
                f"--per_process_gpu_memory_fraction is {self.gpu_memory_fraction}; it must be 0 "
                "(automatic) or more, as 0.5 for half of a GPU's memory"
            )
        if self.gpu_memory_limit_mb < 0:
            raise ConfigError(
                f"--gpu_memory_limit_mb is {self.gpu_memory_limit_mb}; it must be 0 (no limit) or "
                "a number of MiB, as 4096"
            )
        if self.gpu_memory_limit_mb and self.gpu_memory_fraction:
            raise ConfigError(
                "--gpu_memory_limit_mb and --per_process_gpu_memory_fraction both limit the memory "
                "of a GPU; set one of them"
            )

    @property
    def threads(self) -> tuple[int, int]:
        """Intra- and inter-op threads."""
        if self.intra_op > 0 or self.inter_op > 0:
            return self.intra_op, self.inter_op
        return self.parallelism, self.parallelism

    def config_proto(self) -> bytes:
        """Returns all of it as a serialized tensorflow.ConfigProto.

        Threads and the memory fraction replace those of `base`, zeros too; memory growth is on when
        either says so. Raises ConfigError where `base` says what `gpu_memory_limit_mb` does.
        """
        from fastserve import protos

        message = protos.ConfigProto.FromString(self.base)
        message.intra_op_parallelism_threads, message.inter_op_parallelism_threads = self.threads
        message.gpu_options.per_process_gpu_memory_fraction = self.gpu_memory_fraction
        if self.gpu_memory_growth:
            message.gpu_options.allow_growth = True
        self._limit_gpu_memory(message)
        set_mixed_precision(message, self.mixed_precision)
        return bytes(message.SerializeToString())

    def _limit_gpu_memory(self, config_proto: Any) -> None:
        """Makes one virtual device of each GPU, which is how TensorFlow limits memory in bytes."""
        if not self.gpu_memory_limit_mb:
            return
        virtual_devices = config_proto.gpu_options.experimental.virtual_devices
        if virtual_devices:
            raise ConfigError(
                "--gpu_memory_limit_mb and virtual_devices in --tensorflow_session_config_file are "
                "both set; give the limit as memory_limit_mb of the virtual devices"
            )
        for _ in range(session_gpus(config_proto)):
            virtual_devices.add(memory_limit_mb=[self.gpu_memory_limit_mb])


def set_mixed_precision(config_proto: Any, mode: str) -> None:
    """Has a tensorflow.ConfigProto compute in lower precision where that keeps the accuracy.

    `mode`: bfloat16, by oneDNN; "": as it is; anything else too, with a warning
    (servables/tensorflow/saved_model_bundle_factory.cc).
    """
    if mode == "bfloat16":
        rewriter = config_proto.graph_options.rewrite_options
        rewriter.auto_mixed_precision_onednn_bfloat16 = rewriter.ON
    elif mode:
        _LOGGER.warning("%s auto mixed precision is not supported. Valid option: bfloat16", mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteConfig:
    """TensorFlow Lite models."""

    preferred: bool = False
    """A version with a model.tflite is served by that."""
    pools: int = 0
    """Interpreters of each version: so many runs go on at once. 0: as many as there are CPUs."""
    interpreters_per_pool: int = 1
    """Above 1: requests are batched, the more of them the smaller the batches."""

    def __post_init__(self) -> None:
        _check_threads("num_tflite_pools", self.pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupConfig:
    """What a version answers before it serves."""

    enabled: bool = True
    """Whether it does at all."""
    iterations: int = 1
    """How often each request is run."""
    synthetic: bool = False
    """Make requests up for a version that brings none."""
    check_method_names: bool = False
    """As ServerConfig's: warm-up is answered as a client is."""

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ConfigError(f"{self.iterations} warm-up iterations; there must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformConfig:
    """How the models of one platform are loaded.

    It is what a tensorflow.serving.SessionBundleConfig says; the flags say it of the platform
    "tensorflow", a --platform_config_file of each of its platforms.
    """

    tags: tuple[str, ...] = ("serve",)
    """The MetaGraph's tag set, to be met exactly."""
    config_proto: bytes = field(default_factory=lambda: SessionConfig().config_proto())
    """A serialized tensorflow.ConfigProto."""
    warmup: WarmupConfig = field(default_factory=WarmupConfig)
    batching: BatchingConfig | None = None
    """None: each request is run on its own."""
    lite: LiteConfig = field(default_factory=LiteConfig)
    devices: tuple[str, ...] = ()
    """Each holds a replica of a SavedModel; none: TensorFlow chooses one device."""

    def __post_init__(self) -> None:
        if not all(self.tags):
            raise ConfigError(
                f"saved_model_tags is {','.join(self.tags)!r}; no tag may be empty, as in serve or "
                "serve,gpu"
            )

    def session_config(self) -> tuple[bytes, bool]:
        """Returns the serialized ConfigProto of a session, and whether small models get a twin.

        Threads that are left to TensorFlow are one a CPU that this process may use: TensorFlow
        itself knows nothing of a cgroup's quota. Then, and without GPUs, short runs of small models
        are better off with one thread each (csrc/session/twin_session.h).
        """
        from fastserve import protos

        cpus = available_cpus()
        message = protos.ConfigProto.FromString(self.config_proto)
        twins = message.intra_op_parallelism_threads == 0 and cpus > 1 and not session_gpus(message)
        message.intra_op_parallelism_threads = message.intra_op_parallelism_threads or cpus
        message.inter_op_parallelism_threads = message.inter_op_parallelism_threads or cpus
        return bytes(message.SerializeToString()), twins

    @property
    def default_batch_threads(self) -> int:
        """How many threads run batches where the parameters do not say.

        Two a GPU that holds a replica, or two if TensorFlow chooses the GPU: while one batch is
        computed the next is copied, and what comes meanwhile waits for a larger batch. Without
        GPUs, one a CPU.
        """
        from fastserve import protos

        if not session_gpus(protos.ConfigProto.FromString(self.config_proto)):
            return available_cpus()
        return 2 * max(len(self.devices), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything that a server is started with."""

    models: tuple[ModelConfig, ...] = ()
    """To begin with."""
    model_config_file: str = ""
    """A tensorflow.serving.ModelServerConfig in text format, to be read again to reload."""
    model_config: Any = None
    """What that file held, where there is one, when `models` were read from it."""
    config_file_poll_wait_s: int = 0
    """Between two looks at that file; 0 or less: look once."""
    allow_unavailable_labels: bool = False
    """A new label may be for a version that is not loaded yet."""
    transitions: Transitions = field(default_factory=Transitions)
    """For the models of a file or of a request to reload; `models` say it themselves."""
    strict_start: bool = False
    """End when a model cannot be loaded at start."""
    grpc: GrpcConfig = field(default_factory=GrpcConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    load: LoadConfig = field(default_factory=LoadConfig)
    platforms: Mapping[str, PlatformConfig] = field(
        default_factory=lambda: {TENSORFLOW_PLATFORM: PlatformConfig()}
    )
    """By name, which models give as their platform."""
    xla: bool = False
    """Let XLA compile what models mark for it; their requests fail otherwise."""
    custom_op_libraries: tuple[str, ...] = ()
    """Absolute paths of shared libraries, loaded before any model."""
    request_capture: bool = False
    """Whoever reaches the gRPC port, and may administer, may record requests."""
    outputs_as_tensor_content: bool = False
    """Predict over gRPC answers with `tensor_content` instead of typed fields."""
    check_method_names: bool = False
    """Refuse requests for a signature whose method_name is not that of the request."""
    io_threads: int = 0
    """0: as many as there are CPUs for this process."""
    worker_threads: int = 0
    """0: as many as there are CPUs for this process."""
    shutdown_grace_s: float = 10.0
    """How long requests in flight may take after a signal to stop."""
    observe: ObserveConfig = field(default_factory=ObserveConfig)
    port_file: str = ""
    """Where to write the bound ports once ready; "": nowhere."""

    def __post_init__(self) -> None:
        if self.grpc.port > 0 and self.grpc.port == self.rest.port:
            raise ConfigError(
                f"--port and --rest_api_port are both {self.grpc.port}; they must differ"
            )
        _check_threads("io_threads", self.io_threads)
        _check_threads("worker_threads", self.worker_threads)
        if not self.shutdown_grace_s >= 0:
            raise ConfigError(
                f"--shutdown_grace_seconds is {self.shutdown_grace_s}; it must be 0 or more"
            )
