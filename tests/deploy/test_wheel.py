"""The wheel, built and repaired as for publication, and installed where there is no compiler."""

import email
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy_tools import run, tool

from support.cache import ROOT
from support.rest import post
from support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repaired wheel."""
    auditwheel, scratch = tool("auditwheel"), tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", scratch)
    run(*pip, ROOT, seconds=2000)
    (built,) = scratch.glob("*.whl")
    run(auditwheel, "repair", "--wheel-dir", scratch / "repaired", built, seconds=120)
    (repaired,) = (scratch / "repaired").glob("*.whl")
    return repaired


def test_wheel_brings_http2_along_and_leaves_tensorflow_out(wheel: Path) -> None:
    assert "manylinux_2_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        libraries = {Path(name).name for name in archive.namelist() if ".so" in name}
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        requirements = archive.read(metadata).decode()
    assert any(name.startswith("libnghttp2-") for name in libraries)
    assert not any("tensorflow" in name for name in libraries)
    assert "Requires-Dist: tensorflow" in requirements


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel in it, installed without a compiler.

    Its TensorFlow is this environment's, since a second download proves nothing.
    """
    directory = tmp_path_factory.mktemp("clean")
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        found = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist", [])
    others = [name for name in found if "extra ==" not in name and "tensorflow" not in name]
    pip = (python, "-m", "pip", "install", "--quiet", "--only-binary=:all:")
    no_tools = {"PATH": str(directory / "bin"), "HOME": str(directory)}
    run(*pip, *others, seconds=600, env=_site_settings() | no_tools)
    run(*pip, "--no-deps", wheel, seconds=60, env=_site_settings() | no_tools)
    paths = run(sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    here = Path(paths.splitlines()[-1])
    (there,) = directory.glob("lib/python3.*/site-packages")
    (there / "tensorflow").symlink_to(here / "tensorflow")
    return python


def _site_settings() -> dict[str, str]:
    """How this machine reaches its package index."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}


@pytest.fixture
def server(clean_python: Path, models: Path, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    program = clean_python.with_name("tensorflow_model_server")
    flags = ("--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}")
    ports = ("--port=auto", "--rest_api_port=auto", f"--port_file={tmp_path / 'ports'}")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, *flags, *ports], stdout=log, stderr=log, env={})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_installed_wheel_serves_with_its_own_libraries(
    server: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    ports = tmp_path / "ports"
    wait_until(ports.exists, 60.0, "the server is ready")
    port = json.loads(ports.read_text())["rest"]
    answer = post(port, "/v1/models/half_plus_two:predict", {"instances": [1.0, 2.0]})
    assert answer.json() == {"predictions": [4.5, 5.0]}
    mapped = Path(f"/proc/{server.pid}/maps").read_text()
    assert "fastserve.libs/libnghttp2-" in mapped
    assert "/libnghttp2.so" not in mapped
