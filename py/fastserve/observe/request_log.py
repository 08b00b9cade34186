"""The log of requests: PredictionLogs in TFRecord files, written by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastserve import _native, protos
from fastserve.config.models import ModelConfig
from fastserve.config.request_log import RequestLogConfig
from fastserve.observe import instruments
from fastserve.observe.snapshot import METHODS
from fastserve.servables.tfrecord import append_record

_LOGGER = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 2**20
"""A file that has grown longer is followed by another one."""

_TAKE_S = 0.2

_LOG_FIELDS = {
    "Predict": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}


@dataclass(slots=True)
class _OpenFile:
    """Where the requests of one model go to at present."""

    config: RequestLogConfig
    file: BinaryIO
    size: int = 0


class RequestLog:
    """Writes the requests that models' configurations ask for. Any thread.

    A file is called <prefix>.<UTC time to the microsecond>.tfrecord and serves as a file of warm-up
    requests too. What cannot be written is dropped, and counted.
    """

    def __init__(self, tags: Mapping[str, Sequence[str]]) -> None:
        """`tags`: platform -> those that its SavedModels are loaded by."""
        self._tags = tags
        self._models: Mapping[str, ModelConfig] = {}
        self._files: dict[str, _OpenFile] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def set_models(self, models: Sequence[ModelConfig]) -> None:
        """Replaces what is asked for; there is no thread before anything is."""
        rates = {
            model.name: model.request_log.sampling_rate for model in models if model.request_log
        }
        with self._lock:
            self._models = {model.name: model for model in models}
            for name in self._files.keys() - rates.keys():
                self._files.pop(name).file.close()
        _native.set_request_log_rates(rates)
        if rates and self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="fastserve-request-log", daemon=True
            )
            self._thread.start()

    def write_now(self) -> None:
        """Writes what has come so far."""
        with self._lock:
            for logged in _native.take_request_log():
                self._write(*logged)
            for model, open_file in self._files.items():
                try:
                    open_file.file.flush()
                except OSError as error:
                    _LOGGER.error("cannot log requests of model %s: %s", model, error)

    def _run(self) -> None:
        while True:
            self.write_now()
            time.sleep(_TAKE_S)

    def _write(
        self,
        answered: float,
        model: str,
        version: str,
        signature: str,
        method: int,
        request: bytes,
        answer: bytes,
    ) -> None:
        configured = self._models.get(model)
        config = configured.request_log if configured else None
        if configured is None or config is None:
            return  # It is not asked for any more.
        metadata = protos.LogMetadata(timestamp_secs=int(answered))
        metadata.saved_model_tags.extend(self._tags[configured.platform])
        metadata.model_spec.name = model
        metadata.model_spec.version.value = int(version)
        metadata.model_spec.signature_name = signature
        metadata.sampling_config.sampling_rate = config.sampling_rate
        record = prediction_log(METHODS[method], request, answer, metadata)
        try:
            open_file = self._file_of(model, config)
            open_file.size += append_record(open_file.file, record)
        except OSError as error:
            instruments.request_log_dropped.add()
            _LOGGER.error("cannot log a request of model %s: %s", model, error)

    def _file_of(self, model: str, config: RequestLogConfig) -> _OpenFile:
        present = self._files.get(model)
        if present and present.config == config and present.size < MAX_FILE_BYTES:
            return present
        if present:
            self._files.pop(model).file.close()
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
        path = Path(f"{config.path_prefix}.{stamp}.{int(now % 1 * 1e6):06}.tfrecord")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files[model] = _OpenFile(config, path.open("xb"))
        return self._files[model]


def prediction_log(
    method: str, request: bytes, answer: bytes, metadata: protos.LogMetadata
) -> bytes:
    """Returns a serialized PredictionLog of request and answer, put in as they are, unparsed."""
    number = protos.PredictionLog.DESCRIPTOR.fields_by_name[_LOG_FIELDS[method]].number
    head: bytes = protos.PredictionLog(log_metadata=metadata).SerializeToString()
    return head + _field(number, _field(1, request) + _field(2, answer))


def _field(number: int, payload: bytes) -> bytes:
    """Returns a length-delimited field in protobuf's wire format."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
