"""Programs that call a server and print what they were answered."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def run(*command: object, cwd: Path = HERE, **environment: str) -> str:
    """What a command prints; it must succeed."""
    words = [str(word) for word in command]
    env = os.environ | environment
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
