"""Where versions come from."""

from fastserve.sources.file_system import FileSystemSource, find_versions

__all__ = ["FileSystemSource", "find_versions"]
