"""Other people's tests of a gRPC server: h2spec for HTTP/2, and gRPC's stock interop client."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cache import digest, kept
from support.certificates import Authority
from support.server import environment

HERE = Path(__file__).parent
SOURCES = HERE / "tools"
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec"
INTEROP_CLIENT = "google.golang.org/grpc/interop/client"
SECONDS = 60

pytestmark = pytest.mark.timeout(900)
"""For the first time, when the programs are built."""

INTEROP_CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
)

H2SPEC_FRAME_BYTES = 16384
"""h2spec takes HTTP/2's initial value for the longest frame, whatever the server announces."""


@dataclass(frozen=True)
class Listening:
    """A server with gRPC's test service."""

    port: int
    root: Path | None
    """What to verify it with; None: cleartext."""


@pytest.fixture(scope="module")
def tools() -> Path:
    """Where the programs are, built with Go from what go.sum pins."""

    def build(directory: Path) -> None:
        command = ["go", "build", "-buildvcs=false", "-mod=readonly", "-o", f"{directory}/"]
        subprocess.run([*command, H2SPEC, INTEROP_CLIENT], cwd=SOURCES, check=True)

    pinned = [(SOURCES / name).read_bytes() for name in ("go.mod", "go.sum")]
    return kept(f"conformance/{digest(*pinned)}", build)


@pytest.fixture(scope="module", params=["cleartext", "tls"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listening]:
    command = [sys.executable, HERE / "interop_server.py", str(H2SPEC_FRAME_BYTES)]
    root = None
    if request.param == "tls":
        scratch = tmp_path_factory.mktemp("tls")
        Authority(scratch).issue("server")
        command += [scratch / "server.key", scratch / "server.crt"]
        root = scratch / "root.crt"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Listening(int(process.stdout.readline()), root)
        process.stdin.close()
        assert process.wait(timeout=SECONDS) == 0


def test_every_case_of_h2spec_passes(tools: Path, server: Listening, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    command = [tools / "h2spec", "-h", "127.0.0.1", "-p", str(server.port), "-j", report]
    if server.root is not None:
        command += ["--tls", "--insecure"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    cases = list(ElementTree.parse(report).iter("testcase"))
    assert len(cases) > 140
    assert {case.get("package", "").partition("/")[0] for case in cases} == {
        "generic",
        "hpack",
        "http2",
    }
    failed = [(case.get("package"), case.get("classname")) for case in cases if len(case)]
    assert failed == [], done.stdout[done.stdout.find("Failures:") :]


@pytest.mark.parametrize("case", INTEROP_CASES)
def test_stock_interop_client_is_content(tools: Path, server: Listening, case: str) -> None:
    command = [tools / "client", "-server_host=127.0.0.1"]
    command += [f"-server_port={server.port}", f"-test_case={case}"]
    if server.root is not None:
        command += [
            "-use_tls",
            "-use_test_ca",
            f"-ca_file={server.root}",
            "-server_host_override=localhost",
        ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
