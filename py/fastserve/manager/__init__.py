"""The life of versions: a pure policy, and the manager that carries it out."""

from fastserve.manager.manager import LoadRetries, ModelManager

__all__ = ["LoadRetries", "ModelManager"]
