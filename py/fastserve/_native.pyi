"""The data plane: transport, codec, session and serving in C++ (csrc/bindings).

Functions that may block release the GIL. Every error of the data plane is a `NativeError`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

class NativeError(RuntimeError):
    """A failure with its canonical code; `str()` is the bare message."""

    code: int
    """The gRPC status code's number."""
    message: str

def read_metrics() -> dict[str, Any]:
    """Everything that was counted so far; csrc/bindings/register_metrics.cc has the layout.

    Counts by bucket and sums are those of csrc/metrics, times in nanoseconds.
    """

def record_rest(model: bytes, code: int, seconds: float) -> None:
    """Counts a REST request that answer_rest() has not seen; `model` as the client named it."""

def enable_access_log() -> None:
    """Keeps an entry of each native gRPC call from now on, to be taken; 65,536 may wait."""

EndedRequest: TypeAlias = tuple[float, int, int, float, int, int, str, str, str, str, str]
"""(seconds since the epoch, method, code, seconds, bytes in, bytes out, model, version, signature,
peer, traceparent)."""

def take_access_log(timeout_s: float) -> list[EndedRequest]:
    """Takes the entries that wait; waits, without the GIL, for the first one."""

Trace: TypeAlias = tuple[EndedRequest, tuple[tuple[int, int], ...], tuple[int, int, int]]
"""A request, begin and end of its stages (observe/stages.py), and how it was batched.

Times are of time.monotonic_ns(), 0 for what has not been. Batched: rows of the request, batches
that had some of them, rows of all these with padding; zeros without batching.
"""

def enable_traces(ratio: float) -> None:
    """Traces native gRPC calls from now on, to be taken; 8,192 may wait.

    Whether one is, its traceparent says; of those without a share of `ratio`, from 0 to 1, is.
    """

def is_traced(traceparent: str) -> bool:
    """Returns whether a REST request with that header, maybe "", is to be traced. Any thread."""

def take_traces() -> list[Trace]:
    """Takes the traces that wait."""

def set_request_log_rates(rates: Mapping[str, float]) -> None:
    """Replaces, model by model, the share (0 to 1) of the requests over gRPC that is kept.

    64 MiB of them may wait to be taken; what comes more is dropped, and counted.
    """

def take_request_log() -> list[tuple[float, str, str, str, int, bytes, bytes]]:
    """Takes the requests that were kept so far.

    (seconds since the epoch, model, version, signature, method, request, answer), both serialized.
    """

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

class BatchScheduler:
    """Threads that run the batches of all servables that are loaded with it."""

    def __init__(self, threads: int, name: str, *, spare_threads: int) -> None:
        """`spare_threads`: more of them, for queues of which no batch runs while all are busy."""
    def stop_waiting(self) -> None:
        """From now on no batch waits for its timeout."""
    def stop(self) -> None:
        """Runs what waits, without the GIL, then takes no more."""

class BatchingOptions:
    """How one servable's requests are batched; see csrc/batching/batching_options.h."""

    max_batch_size: int
    batch_timeout_micros: int
    max_enqueued_batches: int
    allowed_batch_sizes: list[int]
    pad_variable_length_inputs: bool
    enable_large_batch_splitting: bool
    max_execution_batch_size: int
    def __init__(self) -> None: ...

class BatchPolicy:
    """Options that may be changed while requests are batched by them. Any thread."""

    def __init__(self, options: Mapping[str, BatchingOptions]) -> None:
        """`options` by the signature that they are for; those under "" are for all others.

        Raises NativeError (INVALID_ARGUMENT) for options that make no sense, or without "".
        """
    def set(self, options: Mapping[str, BatchingOptions]) -> None:
        """Changes them for requests that come from now on. Raises as the constructor."""

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
        devices: Sequence[str] = (),
        twin: bool = False,
        batching: tuple[BatchPolicy, BatchScheduler] | None = None,
    ) -> Servable:
        """Loads the SavedModel in the version directory `path`.

        Blocks, without the GIL, until it can run. `twin`: a small model may have a second session
        for short runs (csrc/session/twin_session.h). `config_proto` is a serialized
        tensorflow.ConfigProto. Each of `devices`, as "/device:GPU:0", gets a replica of the model;
        without any TensorFlow chooses one. Without `batching` each request is run on its own.
        Raises NativeError with TensorFlow's text.
        """
    @staticmethod
    def make_lite(
        runtime: Runtime,
        *,
        name: str,
        version: int,
        meta_graph_def: bytes,
        tensors: Sequence[tuple[str, int, int]],
        queue: LiteQueue,
        batching: tuple[BatchPolicy, BatchScheduler] | None = None,
    ) -> Servable:
        """Makes a servable of a TensorFlow Lite model, whose interpreters take runs from `queue`.

        `meta_graph_def` is a serialized tensorflow.MetaGraphDef of the signatures alone. `tensors`
        are name, tensorflow.DataType and graph of every tensor that they name; a run tells them by
        index. When it is unloaded, it closes the queue and waits until the threads have left. Else
        as load().
        """
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def signature_def_map(self) -> bytes:
        """All signatures, as a serialized tensorflow.serving.SignatureDefMap."""
    def warm_up(self, method: str, request: bytes, *, check_method_names: bool = False) -> None:
        """Answers a serialized request as if a client had sent it, and drops the answer.

        `method` is "predict", "classify", "regress" or "multi_inference". The request's signature
        counts, its model name and version do not; the servable need not be published.
        `check_method_names` is the server's option. Without the GIL, on this thread. Raises
        NativeError with what a client would have got; UNIMPLEMENTED for other methods.
        """
    def release(self) -> None:
        """Gives up this handle's reference; memory is freed when requests in flight are done."""
    def wait_unloaded(self, timeout_s: float) -> bool:
        """Waits, without the GIL, until the session is freed; False when that took longer.

        Only after release() and after the last publish() that named it was replaced.
        """

class LiteRun:
    """One run of a TensorFlow Lite model; one that is dropped unfinished fails."""

    @property
    def graph(self) -> int:
        """The number of the graph that all its tensors belong to."""
    @property
    def inputs(self) -> list[tuple[int, tuple[int, ...], memoryview | list[bytes]]]:
        """Index of the tensor, shape, and elements in row-major order: their memory or strings.

        The memory is borrowed, and not to be looked at once the run is finished.
        """
    @property
    def outputs(self) -> list[int]:
        """Indices of the tensors that are asked for."""
    def finish(self, outputs: Sequence[tuple[Sequence[int], object]]) -> None:
        """Ends the run with shape and elements of each output: a buffer or a list of bytes.

        They are copied. Those that are not of the model's dtype, or do not fill the shape, fail it.
        """
    def fail(self, code: int, message: str) -> None:
        """Ends the run with an error. Once it is finished: nothing."""

class LiteQueue:
    """Carries runs to the threads that have interpreters. Any thread."""

    def __init__(self) -> None: ...
    def next(self) -> LiteRun | None:
        """Waits, without the GIL, for a run; None once the model is unloaded."""
    def enter(self) -> None:
        """Counts a thread with an interpreter, before it starts."""
    def leave(self) -> None:
        """That thread has freed its interpreter."""

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
    max_requests_in_flight: int
    max_bytes_in_flight: int
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
    check_method_names: bool
    authenticate: bool
    """Calls of the gRPC port are answered as check_access() decides."""
    def __init__(self) -> None: ...

class RestBody:
    """The body of a REST request that comes in several pieces; shows its bytes as a buffer."""

    def __init__(self, format: str, expected_size: int | None) -> None:
        """`format`: as answer_rest() takes it. `expected_size`: of the whole body, if known."""
    def append(self, piece: bytes) -> None:
        """Raises MemoryError."""
    def __len__(self) -> int: ...

RestAnswer: TypeAlias = tuple[int, bytes | memoryview, str, bytes, Trace | None]
"""The gRPC code's number, body, format of the body, a hint for a header field or b"", and the trace
where it was asked for."""

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
    def set_tokens(self, access: str, tokens: Sequence[str]) -> None:
        """Replaces the tokens that open an access, "predict" or "administer". Any time.

        Those for administration are good for predictions too. Without a call of this, predictions
        need no token, and nothing opens administration. Raises NativeError for an empty token and
        one over 512 bytes.
        """
    def check_access(self, access: str, authorization: bytes) -> None:
        """Raises NativeError when a request with that value of `authorization` is to be refused.

        UNAUTHENTICATED: there is no token in it that is known; PERMISSION_DENIED: it is one for
        predictions, and `access` is "administer".
        """
    def publish(
        self,
        servables: Sequence[Servable],
        labels: Mapping[str, Mapping[str, int]],
        pending: Mapping[str, Mapping[int, str]] = {},
    ) -> None:
        """Replaces the routing table: exactly these servables answer from now on.

        `labels` is model name -> label -> version (of any version, loaded or not). Requests without
        version or label go to the highest version of their model.

        `pending` is model name -> version -> state's name of versions that are on their way: who
        asks for one of them gets UNAVAILABLE with that state instead of NOT_FOUND. A model without
        versions here is one whose versions are still being looked for: any may come.
        """
    def next_call(self) -> tuple[RpcCall, bool] | None:
        """Waits, without the GIL, for an RPC that no native method takes.

        Returns (call, True) when it starts and (call, False) when it is done; None after
        shutdown().
        """
    def answer_rest(
        self,
        token: int,
        method: str,
        model: str,
        version: int | None,
        label: str | None,
        body: bytes | RestBody,
        format: str,
        wants_json: bool,
        timeout_s: float | None,
        traced: bool = False,
    ) -> RestAnswer | None:
        """Answers a REST request; errors have a body too.

        `method` is "predict", "classify" or "regress", `format` "json" or, for a predict,
        "protobuf" or "npy". `wants_json`: where another form of answer would be usual. A RestBody
        is taken over, and cannot be used again. `traced`: the answer has its trace. None when the
        answer comes later, from rest_completions(), under `token`.
        """
    @property
    def connections(self) -> int:
        """Open connections of the gRPC port."""
    @property
    def rest_completion_fd(self) -> int:
        """An eventfd that becomes readable when rest_completions() has something."""
    def rest_completions(self) -> list[tuple[int, RestAnswer]]:
        """Takes the finished pairs of token and answer, and resets the eventfd; never blocks."""
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
    def drain_grpc(self, grace_s: float) -> bool:
        """Stops accepting gRPC, lets calls in flight finish for up to `grace_s`, cuts them off.

        True when nothing was cut off. REST goes on up to shutdown(). Blocks without the GIL.
        """
    def shutdown(self, grace_s: float) -> bool:
        """Stops accepting, lets calls in flight finish for up to `grace_s`, then cuts them off.

        True when nothing was cut off. Blocks without the GIL.
        """
