"""Loads one version of one model."""

from fastserve.servables.loader import Loader, Servable, tensorflow_directory

__all__ = ["Loader", "Servable", "tensorflow_directory"]
