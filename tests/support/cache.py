"""What tests need and what takes long to make: made once a machine, kept under .cache/."""

import fcntl
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"


def digest(*parts: bytes) -> str:
    """A short name for what was made from these."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """The directory `name` of the cache; where it is not there yet, `make` fills an empty one.

    It is made under another name and renamed, so that a cut-off one is never taken for a whole one.
    Processes that want the same one wait for each other.
    """
    target = CACHE / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="making-") as scratch:
                whole = Path(scratch) / "whole"
                whole.mkdir()
                make(whole)
                whole.rename(target)
    return target
