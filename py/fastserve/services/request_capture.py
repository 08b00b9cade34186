"""fastserve.RequestCapture: live Predict requests, for warm-up files."""

from collections.abc import Iterator
from typing import Protocol

import grpc

from fastserve import _native, protos
from fastserve.errors import INVALID_ARGUMENT, ServingError
from fastserve.services.status import abort

SERVICE_NAME = "fastserve.RequestCapture"

_POLL_S = 0.2
"""How long a caller that has gone may go unnoticed."""


class RequestTap(Protocol):
    """The native server, as far as it is known here."""

    def start_capture(self, model: str, limit: int) -> None:
        """Begins to keep copies of the requests for a model, of which `limit` may wait."""

    def take_captured(self, timeout_s: float) -> list[bytes]:
        """Takes what was kept; waits for the first one."""

    def stop_capture(self) -> int:
        """Ends the capture."""


class RequestCaptureServicer:
    """The service over gRPC."""

    def __init__(self, tap: RequestTap) -> None:
        self._tap = tap

    def CapturePredict(
        self, request: protos.CaptureRequest, context: grpc.ServicerContext
    ) -> Iterator[protos.CapturedRequest]:
        """Streams the next requests for a model."""
        if request.limit < 1:
            abort(context, ServingError(INVALID_ARGUMENT, "limit must be at least 1"))
        try:
            self._tap.start_capture(request.model, request.limit)
        except _native.NativeError as error:
            abort(context, ServingError(error.code, error.message))
        left = request.limit
        try:
            while left > 0 and context.is_active():
                for captured in self._tap.take_captured(_POLL_S)[:left]:
                    left -= 1
                    yield protos.CapturedRequest(predict_request=captured)
        finally:
            self._tap.stop_capture()
