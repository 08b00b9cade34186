"""The data plane: transport, codec, session and serving in C++ (csrc/bindings).

Functions that may block release the GIL. Every error of the data plane is a `NativeError`.
"""

from collections.abc import Mapping, Sequence

class NativeError(RuntimeError):
    """A failure with its canonical code; `str()` is the bare message."""

    code: int
    """The gRPC status code's number."""
    message: str

class Runtime:
    """TensorFlow's C library, opened once for the process."""

    @staticmethod
    def load(tensorflow_dir: str) -> Runtime:
        """Opens libtensorflow of the installed `tensorflow` package's directory; takes ~1 s."""
    @property
    def version(self) -> str:
        """TensorFlow's version, as "2.21.0"."""
    def load_library(self, path: str) -> None:
        """Loads a library of custom ops, for all models that are loaded afterwards.

        Without the GIL. Raises NativeError that names the path.
        """

class Servable:
    """One loaded version of one model. Python's handle is one reference among many."""

    @staticmethod
    def load(
        runtime: Runtime,
        *,
        name: str,
        version: int,
        path: str,
        tags: Sequence[str],
        config_proto: bytes = b"",
    ) -> Servable:
        """Loads the SavedModel in the version directory `path`.

        Blocks, without the GIL, until it can run. `config_proto` is a serialized
        tensorflow.ConfigProto. Raises NativeError with TensorFlow's text.
        """
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def signature_def_map(self) -> bytes:
        """All signatures, as a serialized tensorflow.serving.SignatureDefMap."""
    def warm_up(self, method: str, request: bytes) -> None:
        """Answers a serialized request as if a client had sent it, and drops the answer.

        `method` is "predict", "classify", "regress" or "multi_inference". The request's signature
        counts, its model name and version do not; the servable need not be published. Without the
        GIL, on this thread. Raises NativeError with what a client would have got; UNIMPLEMENTED for
        other methods.
        """
    def release(self) -> None:
        """Gives up this handle's reference; memory is freed when requests in flight are done."""
    def wait_unloaded(self, timeout_s: float) -> bool:
        """Waits, without the GIL, until the session is freed; False when that took longer.

        Only after release() and after the last publish() that named it was replaced.
        """

class RpcCall:
    """One RPC that Python answers. Any thread."""

    @property
    def path(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def metadata(self) -> list[tuple[str, str | bytes]]:
        """Request metadata; `bytes` for keys that end in "-bin"."""
    def time_remaining(self) -> float | None:
        """Seconds to the client's deadline (0 once passed); None without one."""
    def is_active(self) -> bool:
        """False once the call was answered, was cancelled, expired or lost its peer."""
    def receive(self) -> bytes | None:
        """The next request message; waits for it without the GIL. None after the last one.

        Raises NativeError (CANCELLED) when the call is no longer active.
        """
    def send_initial_metadata(self, metadata: Sequence[tuple[str, str | bytes]]) -> None: ...
    def set_compression(self, number: int) -> None:
        """Compresses messages from now on, if the client accepts it: 0 not, 1 deflate, 2 gzip.

        Before any message and the initial metadata.
        """
    def send_message(self, message: bytes, compress: bool = True) -> None:
        """Sends one message; waits, without the GIL, while too much is buffered.

        `compress`: whether it may be compressed, if the others are. A message that is longer than
        allowed ends the call instead, with RESOURCE_EXHAUSTED.

        Raises NativeError (CANCELLED) when the call is no longer active.
        """
    def finish(self, code: int, details: str, trailing: Sequence[tuple[str, str | bytes]]) -> None:
        """Ends the call with a status. Later calls of it do nothing."""

class ServerOptions:
    """Sizes and limits of the data plane; see csrc/serving/server.h for their meaning."""

    grpc_addresses: list[str]
    """As "0.0.0.0:8500", "[::]:8500" or "unix:/path"; port 0 = any free port."""
    unix_mode: int | None
    """Permissions of socket files; None: those that the umask leaves."""
    reuse_port: bool
    io_threads: int
    worker_threads: int
    max_connections: int
    max_streams_per_connection: int
    max_frame_bytes: int
    max_metadata_bytes: int
    reset_burst: int
    resets_per_second: int
    control_frame_burst: float
    control_frames_per_second: float
    ping_burst: float
    pings_per_second: float
    handshake_timeout_ms: int | None
    first_byte_timeout_ms: int | None
    stall_timeout_ms: int | None
    keepalive_time_ms: int | None
    keepalive_timeout_ms: int | None
    max_idle_ms: int | None
    max_age_ms: int | None
    max_age_grace_ms: int | None
    max_message_bytes: int
    max_sent_message_bytes: int
    max_buffered_bytes: int
    compression: int
    """Of answers: 0 none, 1 deflate, 2 gzip."""
    outputs_as_tensor_content: bool
    def __init__(self) -> None: ...

class Server:
    """The native server: gRPC port, routing, sessions' runs, JSON predict."""

    def __init__(self, options: ServerOptions) -> None: ...
    def start(self) -> list[int]:
        """Binds and serves; returns the bound TCP ports in the order of the addresses."""
    def set_tls(
        self, *, server_key: str, server_cert: str, client_roots: str, verify_clients: bool
    ) -> None:
        """New connections to the gRPC port speak TLS; open ones stay as they are. Any time.

        All PEM text. With `verify_clients`, clients must present a certificate that one of
        `client_roots` (empty: the system's) vouches for. Raises NativeError that names what is
        wrong by its field in SSLConfig.
        """
    def publish(
        self,
        servables: Sequence[Servable],
        labels: Mapping[str, Mapping[str, int]],
        pending: Mapping[str, Sequence[tuple[int, str]]] = {},
    ) -> None:
        """Replaces the routing table: exactly these servables answer from now on.

        `labels` is model name -> label -> version (of any version, loaded or not). Requests without
        version or label go to the highest version of their model.

        `pending` is model name -> (version, state's name) of versions that are on their way: who
        asks for one of them gets UNAVAILABLE with that state instead of NOT_FOUND.
        """
    def next_call(self) -> tuple[RpcCall, bool] | None:
        """Waits, without the GIL, for an RPC that no native method takes.

        Returns (call, True) when it starts and (call, False) when it is done; None after
        shutdown().
        """
    def predict_json(
        self,
        token: int,
        method: str,
        model: str,
        version: int | None,
        label: str | None,
        body: bytes,
        timeout_s: float | None,
    ) -> tuple[int, bytes] | None:
        """Answers a REST request: (gRPC code's number, JSON body), the body of an error included.

        `method` is "predict", "classify" or "regress". None when the answer comes later, from
        json_completions(), under `token`.
        """
    @property
    def json_completion_fd(self) -> int:
        """An eventfd that becomes readable when json_completions() has something."""
    def json_completions(self) -> list[tuple[int, int, bytes]]:
        """Takes the finished (token, code, body) triples and resets the eventfd; never blocks."""
    def start_capture(self, model: str, limit: int) -> None:
        """Begins to copy the Predict requests over gRPC that `model` answers without an error.

        At most `limit` of them, and 256 MiB, wait to be taken; more are dropped. Raises NativeError
        while a capture is on, and for a limit of 0.
        """
    def take_captured(self, timeout_s: float) -> list[bytes]:
        """Takes the captured requests, serialized PredictRequests, in order.

        Waits, without the GIL, for the first one; empty after `timeout_s` and without a capture.
        """
    def stop_capture(self) -> int:
        """Ends the capture, and the wait of take_captured().

        Returns how many requests were dropped, those that were never taken included.
        """
    def shutdown(self, grace_s: float) -> bool:
        """Stops accepting, lets calls in flight finish for up to `grace_s`, then cuts them off.

        True when nothing was cut off. Blocks without the GIL.
        """
