"""Runs a version's warm-up requests before it serves, and writes files of them.

TensorFlow builds much of what a run needs at its first one, so the first request of a signature
takes many times longer than those after it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from fastserve import _native, protos
from fastserve.config.server import WarmupConfig
from fastserve.errors import (
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNIMPLEMENTED,
    UNKNOWN,
    ServingError,
)
from fastserve.observe import instruments
from fastserve.servables.tfrecord import read_records, write_records

_LOGGER = logging.getLogger(__name__)

MAX_RECORDS = 1000
"""A file with more fails the load."""

_METHODS = {
    "predict_log": "predict",
    "classify_log": "classify",
    "regress_log": "regress",
    "multi_inference_log": "multi_inference",
}
"""What a record may hold -> the method that answers it."""

_NOT_FED = (protos.DataType.DT_INVALID, protos.DataType.DT_RESOURCE, protos.DataType.DT_VARIANT)
_INIT_OP = "__saved_model_init_op"


def requests_path(version_dir: str | Path) -> Path:
    """Returns where the warm-up requests of a version lie, if there are any."""
    return Path(version_dir, "assets.extra", "tf_serving_warmup_requests")


def warm_up(servable: _native.Servable, version_dir: str, config: WarmupConfig) -> None:
    """Runs the version's warm-up requests; where there are none, made-up ones if so configured.

    Raises ServingError at the first one that fails: such a version is not to be served. A made-up
    request may fail, since nobody knows what a model makes of zeros.
    """
    if not config.enabled:
        return
    path = requests_path(version_dir)
    if path.exists():
        _run_file(servable, path, config)
        return
    _LOGGER.info("No warmup data file found at %s", path)
    if config.synthetic:
        _run_synthetic(servable, config)


def write_warmup_file(path: str | Path, requests: Iterable[bytes]) -> int:
    """Writes serialized PredictRequests as a file of warm-up requests, replaced as a whole.

    Makes the folder. Returns how many requests it holds. Raises ServingError for more than
    MAX_RECORDS and for one that is no PredictRequest; OSError.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}.tmp")
    try:
        count = write_records(scratch, _as_records(requests))
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _as_records(requests: Iterable[bytes]) -> Iterator[bytes]:
    for count, request in enumerate(requests):
        if count == MAX_RECORDS:
            raise ServingError(
                INVALID_ARGUMENT, f"a warm-up file holds at most {MAX_RECORDS} requests"
            )
        log = protos.PredictionLog()
        if not _parse(log.predict_log.request, request):
            raise ServingError(INVALID_ARGUMENT, f"request {count + 1} is no PredictRequest")
        yield log.SerializeToString()


def _run_file(servable: _native.Servable, path: Path, config: WarmupConfig) -> None:
    """Runs the requests of a file, each of them several times in a row."""
    _LOGGER.info("Starting to read warmup data for model at %s", path)
    count = 0
    for count, record in enumerate(_read(path), 1):
        _run_record(servable, record, path, config)
        if count > MAX_RECORDS:
            raise ServingError(
                INVALID_ARGUMENT,
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}",
            )
    _LOGGER.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: %d.",
        *(path, count),
    )


def _read(path: Path) -> Iterator[bytes]:
    """Yields the records of a file, with the errors that a load gives, and counts them at its end.

    Nothing is counted when the reader of these records gives up before, as upstream.
    """
    begun = time.monotonic()
    count = 0
    try:
        for record in read_records(path):
            count += 1
            yield record
    except ServingError as error:
        _count(path, begun, count, str(error))
        raise ServingError(
            error.code,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from error
    except OSError as error:
        code = PERMISSION_DENIED if isinstance(error, PermissionError) else UNKNOWN
        raise ServingError(code, f"{path}; {error.strerror}") from error
    _count(path, begun, count, "OK")


def _count(path: Path, begun: float, records: int, status: str) -> None:
    series = str(path.parent.parent), status
    instruments.warmup_micros.record((time.monotonic() - begun) * 1e6, *series)
    instruments.warmup_records.add(*series, amount=records)


def _run_record(
    servable: _native.Servable, record: bytes, path: Path, config: WarmupConfig
) -> None:
    log = protos.PredictionLog()
    if not _parse(log, record):
        text = record.decode(errors="backslashreplace")
        raise ServingError(INVALID_ARGUMENT, f"Failed to parse warmup record: {text} from {path}")
    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind not in _METHODS:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    request = getattr(log, kind).request.SerializeToString()
    _run(servable, _METHODS[kind], request, config)


def _run_synthetic(servable: _native.Servable, config: WarmupConfig) -> None:
    """Runs one made-up request for each signature that takes one."""
    signatures = protos.SignatureDefMap.FromString(servable.signature_def_map).signature_def
    for name in sorted(signatures):
        request = _synthetic_request(name, signatures[name])
        if request is None:
            continue
        try:
            _run(servable, "predict", request, config)
        except ServingError as error:
            _LOGGER.info(
                "Signature %s of {name: %s version: %d} fails for a made-up warm-up request: %s",
                *(name, servable.name, servable.version, error),
            )


def _synthetic_request(name: str, signature: Any) -> bytes | None:
    """Returns a PredictRequest of zeros and empty strings; None if no tensor can be made for one.

    Dimensions that are not known become 1, a rank that is not known 0; defaults are left to apply.
    """
    if name == _INIT_OP or not signature.inputs:
        return None
    request = protos.PredictRequest()
    request.model_spec.signature_name = name
    for alias, info in signature.inputs.items():
        if alias in signature.defaults:
            continue
        if info.WhichOneof("encoding") != "name" or info.dtype in _NOT_FED:
            return None
        tensor = request.inputs[alias]  # Without values, all elements are zero.
        tensor.dtype = info.dtype
        for dim in info.tensor_shape.dim:
            tensor.tensor_shape.dim.add(size=dim.size if dim.size >= 0 else 1)
    return bytes(request.SerializeToString())


def _run(servable: _native.Servable, method: str, request: bytes, config: WarmupConfig) -> None:
    try:
        for _ in range(config.iterations):
            servable.warm_up(method, request, check_method_names=config.check_method_names)
    except _native.NativeError as error:
        raise ServingError(error.code, error.message) from error


def _parse(message: Any, data: bytes) -> bool:
    """Reads a message; False when `data` is none."""
    try:
        message.ParseFromString(data)
    except DecodeError:
        return False
    return True
