"""Fixtures that start real servers over exported models."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.exporting import exported
from support.server import ServerProcess, StartServer

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def models() -> Path:
    """The directory of the test models: <model>/<version>/. Not to be written to."""
    return exported(HERE / "models" / "export_models.py")


@pytest.fixture(scope="session")
def recorded_models() -> Path:
    """The models of the compatibility recordings, of every dtype, shape and error."""
    return exported(HERE / "compat" / "make_models.py")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers that live to the end of the module, and then asserts that each ends well."""
    servers: list[ServerProcess] = []

    def start(*flags: str, **environment_changes: str) -> ServerProcess:
        scratch = tmp_path_factory.mktemp("server")
        servers.append(ServerProcess(scratch, *flags, **environment_changes))
        return servers[-1].ready()

    with contextlib.ExitStack() as at_end:
        at_end.callback(lambda: [server.kill() for server in servers])
        yield start
        for server in servers:
            server.stop()
