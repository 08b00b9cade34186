"""REST over HTTP/1.1."""

from fastserve.gateway.gateway import Gateway

__all__ = ["Gateway"]
