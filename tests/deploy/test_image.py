"""The images, built by buildah without a Docker engine and without a registry.

Their base is made by debootstrap instead of pulled. The image's entry point runs in a network of
its own, so that the ports that the image exposes are free.

The GPU image needs no GPU here, but takes some GB to download and twice that on disk: it is built
with FASTSERVE_GPU_IMAGE=1 alone.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy_tools import DEPLOY, attempt, network, run, tool

from support.bucket import ACCESS
from support.cache import CACHE, ROOT
from support.exporting import exported
from support.layout import config_text, model_entry
from support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

BASE = "localhost/fastserve-test-base"
STORE = CACHE / "containers"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
SITE_CERTIFICATES = Path("/usr/local/share/ca-certificates")

#: What the newest version of half_plus_two, which adds four, makes of 1 and 2.
HALF_PLUS_FOUR = [4.5, 5.0]

PYTHON = "/opt/fastserve/bin/python"
PACKAGES = "/opt/fastserve/lib/python3.11/site-packages"

#: How large an image may be, in MB.
LARGEST = {"cpu": 1100, "gpu": 6200}

#: What runs inside the image's network: prints how each of the two ports answers.
CLIENT = """
import json, sys, urllib.request
from support.grpc_client import Client
model, alias = sys.argv[1:]
with Client(8500) as client:
    (over_grpc,) = (y.tolist() for y in client.values(model, {alias: [1.0, 2.0]}).values())
with urllib.request.urlopen(
    f"http://127.0.0.1:8501/v1/models/{model}:predict", b'{"instances": [1.0, 2.0]}'
) as answer:
    over_rest = json.load(answer)["predictions"]
print(json.dumps([over_grpc, over_rest]))
"""

#: Serves a bucket with a folder's content in the image's network until its input ends.
S3_SERVER = """
import sys
from pathlib import Path
from support.bucket import serving
with serving(9000) as bucket:
    bucket.upload(Path(sys.argv[1]), "shop")
    print("ready", flush=True)
    sys.stdin.read()
"""

TEST_ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tests")}


def _buildah_command() -> list[str]:
    return [tool("buildah"), "--root", str(STORE / "root"), "--runroot", str(STORE / "run")]


def _buildah(*words: str | Path, seconds: float = 60.0) -> str:
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    return run(*_buildah_command(), *words, seconds=seconds, env=environment).strip()


def _make_base(scratch: Path) -> None:
    """Makes what stands for debian:bookworm-slim, from the archive that this machine uses."""
    if not SOURCES.exists():
        pytest.skip(f"this machine is not set up by {SOURCES}")
    match = re.search(r"^URIs: (\S+)", SOURCES.read_text(), re.MULTILINE)
    assert match is not None
    mirror, root = match[1], scratch / "base"
    run(tool("debootstrap"), "--variant=minbase", "bookworm", root, mirror, seconds=600)
    (root / "etc/apt/sources.list").unlink()
    for leftovers in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / leftovers)
    # As in Debian's images: the snapshot is named in a comment.
    (root / "etc/apt/sources.list.d/debian.sources").write_text(
        f"Types: deb\n# {mirror}\nURIs: {mirror}\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    if SITE_CERTIFICATES.exists():
        shutil.copytree(SITE_CERTIFICATES, root / "usr/local/share/ca-certificates")
    container = _buildah("from", "scratch")
    _buildah("add", "--quiet", container, root, "/", seconds=300)
    _buildah("commit", "--quiet", "--rm", "--format", "docker", container, BASE, seconds=300)


@pytest.fixture(scope="module", params=("cpu", "gpu"))
def device(request: pytest.FixtureRequest) -> str:
    """What the image is for."""
    if request.param == "gpu" and os.environ.get("FASTSERVE_GPU_IMAGE") != "1":
        pytest.skip("it takes some GB: built with FASTSERVE_GPU_IMAGE=1 alone")
    return request.param


@pytest.fixture(scope="module")
def image(device: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the built image."""
    tool("buildah")
    if BASE not in _buildah("images", "--format", "{{.Name}}").split("\n"):
        _make_base(tmp_path_factory.mktemp("base"))
    run(
        DEPLOY / "docker" / "build.sh",
        *(device, "--layers", "--build-arg", f"DEBIAN={BASE}"),
        seconds=3000,
        env=os.environ
        | {
            "BUILDAH_ISOLATION": "chroot",
            "FASTSERVE_BUILDER": " ".join((*_buildah_command(), "build", "--format", "docker")),
        },
    )
    return f"localhost/fastserve:{device}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the image whose entry point runs in a network of its own."""

    name: str
    inside: tuple[str, ...]
    """What runs a command in that network."""

    def predict(self, model: str, alias: str = "x") -> list[list[Any]]:
        """What a model makes of 1 and 2: over gRPC, and over REST."""
        client = (*self.inside, sys.executable, "-c", CLIENT, model, alias)
        printed = run(*client, env=TEST_ENVIRONMENT)
        return json.loads(printed.splitlines()[-1])

    def is_healthy(self) -> bool:
        """What the image's own health check says."""
        check = _config(self.name)["Healthcheck"]["Test"][1]
        return attempt(*self.inside, *_run_in(self.name), check)[0] == 0

    def await_health(self) -> None:
        wait_until(self.is_healthy, 60.0, "the health check succeeds")

    def server_status(self) -> dict[str, str]:
        """/proc/<pid>/status of the server, which alone in its network listens."""
        listening = run(*self.inside, "ss", "--listening", "--tcp", "--processes", "--no-header")
        pids = set(re.findall(r"pid=([0-9]+)", listening))
        assert len(pids) == 1, listening
        lines = Path("/proc", pids.pop(), "status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines)


def _config(container: str) -> dict:
    return json.loads(_buildah("inspect", container))["Docker"]["config"]


def _run_in(container: str, *options: str) -> tuple[str, ...]:
    return (*_buildah_command(), "run", "--isolation", "chroot", *options, container, "--")


@contextmanager
def _running(
    image: str,
    models: Path,
    *arguments: str,
    beside: Callable[[tuple[str, ...]], AbstractContextManager[None]] = nullcontext,
    **environment: str,
) -> Iterator[Container]:
    """Runs the image as `docker run -v models:/models -e ... image ARGUMENTS` would.

    `beside`: what runs in its network as well, given what runs a command there.
    """
    container = _buildah("from", image)
    options = [f"--volume={models}:/models:ro"]
    options += [f"--env={name}={value}" for name, value in environment.items()]
    entry_point = _config(container)["Entrypoint"]
    with network() as inside, beside(inside):
        command = [*inside, *_run_in(container, *options), *entry_point, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        yield Container(container, inside)
    process.wait()
    _buildah("rm", container)


@pytest.fixture
def readable_models(models: Path) -> Iterator[Path]:
    """A test model where a user that is not root may read it, as in a mount."""
    with tempfile.TemporaryDirectory() as tree:
        shutil.copytree(models / "half_plus_two", Path(tree, "half_plus_two"))
        run("chmod", "-R", "a+rX", tree)
        yield Path(tree)


def test_one_model_by_name_is_served_by_a_user_that_is_not_root(
    image: str, readable_models: Path
) -> None:
    began = time.monotonic()
    with _running(image, readable_models, MODEL_NAME="half_plus_two") as container:
        container.await_health()
        print(f"healthy after {time.monotonic() - began:.1f} s")
        assert container.predict("half_plus_two") == [HALF_PLUS_FOUR, HALF_PLUS_FOUR]
        status = container.server_status()
        assert status["Uid"].split() == ["10001"] * 4
        print(f"resident: {status['VmRSS']}")


def test_model_config_file_of_the_mount_is_taken_as_upstreams_image_takes_it(
    image: str, readable_models: Path
) -> None:
    (readable_models / "model_config.pbtxt").write_text(
        config_text(
            model_entry(
                name, Path("/models/half_plus_two"), "model_version_policy { all {} } " + labels
            )
            for name, labels in (("one", ""), ("two", "version_labels { key: 'stable' value: 1 }"))
        )
    )
    flags = (
        "--model_config_file=/models/model_config.pbtxt",
        "--model_config_file_poll_wait_seconds=30",
        "--allow_version_labels_for_unavailable_models=true",
    )
    with _running(image, readable_models, *flags) as container:
        container.await_health()
        for model in ("one", "two"):
            assert container.predict(model) == [HALF_PLUS_FOUR, HALF_PLUS_FOUR]


@contextmanager
def _store(inside: tuple[str, ...], content: Path) -> Iterator[None]:
    """Serves a bucket with the content of a folder."""
    command = (*inside, sys.executable, "-c", S3_SERVER, str(content))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=TEST_ENVIRONMENT, text=True, **pipes) as process:
        assert process.stdout is not None
        assert "ready\n" in process.stdout
        yield


def test_models_of_an_object_store_and_of_tensorflow_lite_are_served(
    image: str, readable_models: Path
) -> None:
    lite = exported(ROOT / "tests" / "models" / "export_lite_models.py") / "runtime_shapes"
    shutil.copytree(lite, readable_models / "lite")
    (readable_models / "model_config.pbtxt").write_text(
        config_text(
            model_entry(name, f"s3://models/shop/{name}") for name in ("half_plus_two", "lite")
        )
    )
    with _running(
        *(image, readable_models),
        *("--model_config_file=/models/model_config.pbtxt", "--prefer_tflite_model"),
        beside=lambda inside: _store(inside, readable_models),
        AWS_ENDPOINT_URL="http://127.0.0.1:9000",
        **ACCESS,
    ) as container:
        container.await_health()
        assert container.predict("half_plus_two") == [HALF_PLUS_FOUR, HALF_PLUS_FOUR]
        # Where its input is positive.
        assert container.predict("lite", "serving_default_x") == [[[0], [1]], [[0], [1]]]


def test_drivers_of_all_stores_are_there(image: str) -> None:
    drivers = "import gcsfs, ossfs, s3fs"
    container = _buildah("from", image)
    _buildah("run", container, "--", PYTHON, "-c", drivers)
    _buildah("rm", container)


def test_tensorflow_finds_cudas_libraries_in_the_gpu_image_alone(image: str, device: str) -> None:
    program = (ROOT / "tests" / "support" / "cuda_libraries.py").read_text()
    container = _buildah("from", image)
    printed = _buildah("run", container, "--", PYTHON, "-c", program)
    _buildah("rm", container)
    for library, path in json.loads(printed.splitlines()[-1]).items():
        if device == "gpu":
            assert path is not None, library
            assert path.startswith(f"{PACKAGES}/nvidia/"), path
        else:
            assert path is None, library


def test_image_is_slim(image: str, device: str) -> None:
    (found,) = json.loads(_buildah("images", "--json", image))
    amount, unit = found["size"].split()
    megabytes = float(amount) * {"MB": 1, "GB": 1000}[unit]
    print(f"size: {found['size']}")
    assert megabytes < LARGEST[device]
