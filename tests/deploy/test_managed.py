"""The examples for managed platforms: their script lines, model trees and client calls.

The script runs as in a container: over this machine's files lie the image's entry point and the
mounted models, and it has a network of its own, where the image's ports are free.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deploy_tools import DEPLOY, attempt, network, run

from support.waiting import wait_until

MANAGED = DEPLOY / "managed"
TOKEN = "ZTBhYzlkMDQ3OGU5"
TREE = {"modelA": (1,), "modelB": (1, 2), "modelC": (1, 2, 3)}

#: A client of deploy/managed with its last arguments, and what it printed.
Call = Callable[..., str]

#: Runs the command $3 in a root of its own below the empty folder $2: this machine's files, except
#: that what the folder $1 holds has been added to /usr/bin and to the root.
INSIDE = """
mount -t tmpfs tmpfs "$2"
for entry in /* "$1"/*; do
  target=$2/$(basename "$entry")
  if [ -L "$entry" ]; then cp -P "$entry" "$target"; continue; fi
  [ -d "$entry" ] && [ "$entry" != "$1/usr" ] || continue
  mkdir -p "$target"
  mount --rbind "$entry" "$target"
done
mount -t overlay overlay -o "lowerdir=$1/usr/bin:/usr/bin" "$2/usr/bin"
exec chroot "$2" sh -c "$3"
"""


@contextmanager
def _deployed(description: Path, models: Path, scratch: Path, flags: str = "") -> Iterator[Call]:
    """Runs the container of a description, over the models where it mounts them.

    `flags`: more of the server's, behind the script.
    """
    service = json.loads(description.read_text())
    (container,), (storage,) = service["containers"], service["storage"]
    image = scratch / "image"
    _lay_out(image / storage["mount_path"].lstrip("/"), models)
    _install(image)
    environment = _image_environment()
    environment |= {item["name"]: item["value"] for item in container.get("env", ())}
    empty = scratch / "root"
    empty.mkdir()
    with network() as inside:
        command = [*inside, "unshare", "--mount", "sh", "-ec", INSIDE, "sh", image, empty]
        with (scratch / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, f"{container['script']} {flags}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )

        def call(client: str, *arguments: str, token: str = TOKEN) -> str:
            address = f"127.0.0.1:{container['port']}"
            if client == "client_http.py":
                address = f"http://{address}"
            words = (sys.executable, MANAGED / client, address, token, *arguments)
            return run(*inside, *words).splitlines()[-1]

        def is_ready() -> bool:
            assert process.poll() is None, (scratch / "log").read_text()
            url = "http://127.0.0.1:8501/readyz"
            return attempt(*inside, "curl", "--silent", "--fail", url)[0] == 0

        wait_until(is_ready, 60.0, "every model is loaded")
        yield call
    process.wait()


def _lay_out(store: Path, models: Path) -> None:
    """The tree of the documentation; a version of half_plus_two is in each place."""
    for name, versions in TREE.items():
        for version in versions:
            source = models / "half_plus_two" / str(version)
            shutil.copytree(source, store / name / str(version))
    shutil.copy(MANAGED / "model_config.pbtxt", store)
    (store / "tokens").write_text(f"{TOKEN}\n")


def _image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    lines = re.findall(r"^ENV (.*)$", dockerfile, re.MULTILINE)
    return dict(word.split("=", 1) for line in lines for word in line.split())


def _install(image: Path) -> None:
    """Puts the programs where the image has them."""
    programs = image / "usr" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(DEPLOY / "docker" / "tf_serving_entrypoint.sh", programs)
    server = programs / "tensorflow_model_server"
    server.write_text(f'#!/bin/sh\nexec {sys.executable} -m fastserve "$@"\n')
    server.chmod(0o755)


def test_one_model_is_served_by_its_name(models: Path, tmp_path: Path) -> None:
    with _deployed(MANAGED / "one_model.json", models, tmp_path) as call:
        assert call("client_http.py", "modelA") == "[2.5, 3.0]"


@pytest.mark.parametrize(
    ("description", "words", "refusal"),
    [
        ("one_model.json", ("client_http.py", "modelA"), "HTTP Error 401: Unauthorized"),
        ("three_models_grpc.json", ("client_grpc.py", "modelA"), "StatusCode.UNAUTHENTICATED"),
    ],
)
def test_server_checks_the_token_that_calls_carry(
    models: Path, tmp_path: Path, description: str, words: tuple[str, ...], refusal: str
) -> None:
    flags = "--auth_token_file=/models/tokens"
    with _deployed(MANAGED / description, models, tmp_path, flags) as call:
        assert call(*words) == "[2.5, 3.0]"
        with pytest.raises(AssertionError, match=refusal):
            call(*words, token=f"{TOKEN}x")


def test_three_models_are_served_by_policy_and_label_over_http(
    models: Path, tmp_path: Path
) -> None:
    with _deployed(MANAGED / "three_models.json", models, tmp_path) as call:
        for model, first in {
            "modelA": 2.5,
            "modelB": 3.5,
            "modelB/labels/stable": 2.5,
            "modelB/labels/canary": 3.5,
            "modelC": 4.5,
            "modelC/versions/2": 3.5,
        }.items():
            assert call("client_http.py", model) == f"[{first}, {first + 0.5}]", model


def test_three_models_are_served_by_policy_and_label_over_grpc(
    models: Path, tmp_path: Path
) -> None:
    with _deployed(MANAGED / "three_models_grpc.json", models, tmp_path) as call:
        assert call("client_grpc.py", "modelB", "canary") == "[3.5, 4.0]"
