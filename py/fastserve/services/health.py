"""grpc.health.v1.Health: the server, its services and its models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from grpc_health.v1 import health, health_pb2

SERVICE_NAME: str = health.SERVICE_NAME

_Response = health_pb2.HealthCheckResponse

_SHORT_NAMES = ("ModelService", "PredictionService")
"""The only names, beside "", that TensorFlow Serving knows."""


class HealthServicer(health.HealthServicer):
    """The service, and what tells it of changes. Any thread.

    "" serves while every configured model does; a service from the start, a model while one of its
    versions does. From drain() on, nothing serves.
    """

    def __init__(self, services: Iterable[str]) -> None:
        super().__init__()
        self._states: dict[str, bool] = {}
        self.set("", _Response.NOT_SERVING)
        for service in (*services, *_SHORT_NAMES):
            self.set(service, _Response.SERVING)

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answers with the state of a name; NOT_FOUND for one that there is not."""
        response = super().Check(request, context)
        if response.status == _Response.SERVICE_UNKNOWN:  # A model that was here once.
            context.set_code(grpc.StatusCode.NOT_FOUND)
        return response

    def update(self, ready: Mapping[str, bool]) -> None:
        """Takes in, for every configured model, whether it has a version that serves."""
        states = {**ready, "": all(ready.values())}
        for name in self._states.keys() - states.keys():
            self.set(name, _Response.SERVICE_UNKNOWN)
        for name, serves in states.items():
            if self._states.get(name) is not serves:
                self.set(name, _Response.SERVING if serves else _Response.NOT_SERVING)
        self._states = states

    def drain(self) -> None:
        """Says of everything, from now on, that it does not serve."""
        self.enter_graceful_shutdown()
