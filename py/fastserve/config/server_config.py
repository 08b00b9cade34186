"""The settings of a server, read once from the command line."""

from dataclasses import dataclass, field
from pathlib import Path

from fastserve.errors import ConfigError

AUTO_PORT = -1
"""A REST port that the system chooses."""

_MAX_MESSAGE_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One model: the highest version under its base path is served."""

    name: str = "model"
    base_path: Path = Path("/models/model")

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("--model_name is empty; give the name that clients ask for")
        if not self.base_path.is_dir():
            raise ConfigError(
                f"{self.base_path} is not a directory; point --model_base_path at a directory that"
                " holds one directory a version (such as 1/saved_model.pb), or use --demo to serve"
                " a demo model"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything a server is started with."""

    model: ModelConfig
    port: int = 8500
    """gRPC on every interface; 0 = any free port."""
    rest_port: int = 0
    """REST; 0 = none, AUTO_PORT = any free port."""
    port_file: Path | None = None
    """Gets {"grpc", "rest", "pid"} as JSON once the model serves."""
    file_system_poll_wait_seconds: float = 1
    """Pause between two looks for versions; 0 = one look, negative = none."""
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    saved_model_tags: tuple[str, ...] = ("serve",)
    intra_op_threads: int = 0
    """TensorFlow's threads within an operation; 0 = its own choice."""
    inter_op_threads: int = 0
    io_threads: int = 1
    worker_threads: int = 1
    max_message_bytes: int = _MAX_MESSAGE_BYTES
    rest_max_body_bytes: int = 1 << 30
    rest_api_timeout_in_ms: int = 30_000
    """Limit of a REST predict; not above 0 = none."""
    shutdown_grace_seconds: float = 30.0
    enable_serialization_as_tensor_content: bool = False
    rest_host: str = field(default="::")

    def __post_init__(self) -> None:
        for flag, port, least in (("port", self.port, 0), ("rest_port", self.rest_port, AUTO_PORT)):
            if not least <= port <= 65535:
                raise ConfigError(f"--{flag} is {port}; a port is a number from 0 to 65535")
        if self.rest_port > 0 and self.rest_port == self.port:
            raise ConfigError(f"--rest_port and --port are both {self.port}; they must differ")
        for flag, value in (
            ("io_threads", self.io_threads),
            ("worker_threads", self.worker_threads),
        ):
            if value < 1:
                raise ConfigError(f"--{flag} is {value}; it must be at least 1")
        if not 0 < self.max_message_bytes <= _MAX_MESSAGE_BYTES:
            raise ConfigError(
                f"--max_message_bytes is {self.max_message_bytes};"
                f" it must be from 1 to {_MAX_MESSAGE_BYTES}"
            )
        if self.rest_max_body_bytes < 1:
            raise ConfigError(
                f"--rest_max_body_bytes is {self.rest_max_body_bytes}; it must be at least 1"
            )
        if self.max_num_load_retries < 0:
            raise ConfigError(
                f"--max_num_load_retries is {self.max_num_load_retries}; it must be at least 0"
            )
