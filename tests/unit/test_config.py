"""Configurations that cannot work are refused when they are made, with a text that helps."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastserve import protos
from fastserve.config.cpus import MAX_THREADS, available_cpus
from fastserve.config.models import LatestPolicy, ModelConfig, TransitionPolicy, Transitions
from fastserve.config.server import (
    ANY_PORT,
    GrpcConfig,
    LoadConfig,
    PlatformConfig,
    RestConfig,
    ServerConfig,
    SessionConfig,
    WarmupConfig,
)
from fastserve.config.transport import TransportConfig
from fastserve.errors import INVALID_ARGUMENT, ConfigError


def model(name: str = "m", base_path: str = "/m") -> ModelConfig:
    return ModelConfig(name=name, base_path=base_path)


def server(**changes: Any) -> ServerConfig:
    return ServerConfig(models=(model(),), **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model(name=""), "the model name is empty"),
        (lambda: model(base_path="hdfs://b/m"), "base path hdfs://b/m of model m is a URI"),
        (
            lambda: model(base_path="m/1"),
            "Expected model m to have an absolute path or URI; got base_path()=m/1",
        ),
        (lambda: model(base_path=""), "Expected model m to have an absolute path or URI"),
        (lambda: LatestPolicy(num_versions=0), "asks for 0 versions; it must be at least 1"),
        (lambda: GrpcConfig(port=65536), "--port is 65536; it must be from 1 to 65535, or auto"),
        (lambda: GrpcConfig(port=-2), "--port is -2;"),
        (
            lambda: GrpcConfig(listen_addresses=("a:1", "")),
            "--grpc_listen_addresses is 'a:1,'; it must be addresses joined by commas",
        ),
        (lambda: GrpcConfig(max_message_bytes=0), "--grpc_max_message_bytes is 0;"),
        (lambda: GrpcConfig(max_message_bytes=2**31), "it must be from 1 to 2147483647"),
        *(
            (lambda field=field: TransportConfig(**{field: 0}), f"--grpc_{flag} is 0; it must be")
            for field, flag in (
                ("max_connections", "max_connections"),
                ("max_requests_in_flight", "max_requests_in_flight"),
                ("max_bytes_in_flight", "max_bytes_in_flight"),
                ("max_streams_per_connection", "max_streams_per_connection"),
                ("max_metadata_bytes", "max_metadata_bytes"),
                ("resets_per_second", "max_resets_per_second"),
                ("control_frames_per_second", "max_control_frames_per_second"),
                ("max_buffered_bytes", "max_buffered_bytes"),
            )
        ),
        (lambda: RestConfig(port=65536), "--rest_api_port is 65536;"),
        (lambda: RestConfig(max_body_bytes=0), "--rest_max_body_bytes is 0;"),
        (lambda: LoadConfig(max_retries=-1), "--max_num_load_retries is -1;"),
        (lambda: PlatformConfig(tags=("a", "")), "saved_model_tags is 'a,'; no tag may be empty"),
        (
            lambda: LoadConfig(num_load_threads=-1),
            "--num_load_threads is -1; it must be 0 (automatic) or at most 1024",
        ),
        (lambda: LoadConfig(num_unload_threads=1025), "--num_unload_threads is 1025;"),
        (lambda: WarmupConfig(iterations=0), "0 warm-up iterations; there must be at least 1"),
        (
            lambda: SessionConfig(gpu_memory_fraction=-0.5),
            "--per_process_gpu_memory_fraction is -0.5; it must be 0 (automatic) or more, as 0.5 "
            "for half of a GPU's memory",
        ),
        (lambda: SessionConfig(gpu_memory_fraction=float("nan")), "_memory_fraction is nan;"),
        (lambda: SessionConfig(gpu_memory_fraction=float("inf")), "_memory_fraction is inf;"),
        (lambda: SessionConfig(inter_op=-1), "--tensorflow_inter_op_parallelism is -1;"),
        (
            lambda: SessionConfig(parallelism=2**31),
            "--tensorflow_session_parallelism is 2147483648",
        ),
        (lambda: SessionConfig(parallelism=1, intra_op=1, inter_op=1), "You cannot configure all."),
        (
            lambda: server(grpc=GrpcConfig(port=5), rest=RestConfig(port=5)),
            "--port and --rest_api_port are both 5; they must differ",
        ),
        (lambda: server(io_threads=-1), "--io_threads is -1;"),
        (lambda: server(worker_threads=MAX_THREADS + 1), "or at most 1024"),
        (lambda: server(shutdown_grace_s=-0.1), "--shutdown_grace_seconds is -0.1;"),
        (lambda: server(shutdown_grace_s=float("nan")), "--shutdown_grace_seconds is nan;"),
    ],
)
def test_what_cannot_work_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in caught.value.message
    assert caught.value.code == INVALID_ARGUMENT


@pytest.mark.parametrize("port", [0, ANY_PORT])
def test_free_ports_do_not_clash(port: int) -> None:
    made = server(grpc=GrpcConfig(port=port), rest=RestConfig(port=port))
    assert made.rest.enabled == (port == ANY_PORT)


@pytest.mark.parametrize(
    ("grpc", "addresses"),
    [
        (GrpcConfig(), ("[::]:8500",)),
        (GrpcConfig(port=0), ("[::]:0",)),
        (GrpcConfig(port=ANY_PORT, socket_path="s"), ("[::]:0", "unix:s")),
        (GrpcConfig(port=0, socket_path="/s"), ("unix:/s",)),
        (GrpcConfig(port=1, listen_addresses=("a:1", "b:0")), ("[::]:1", "a:1", "b:0")),
    ],
)
def test_grpc_listens_on_port_socket_and_more(grpc: GrpcConfig, addresses: tuple[str, ...]) -> None:
    assert grpc.addresses == addresses


def test_limits_themselves_are_allowed() -> None:
    assert GrpcConfig(port=65535, max_message_bytes=2**31 - 1).port == 65535
    assert server(io_threads=MAX_THREADS, worker_threads=0, shutdown_grace_s=0).io_threads == 1024


@pytest.mark.parametrize(("ms", "seconds"), [(1500, 1.5), (0, None), (-1, None)])
def test_rest_timeout_is_in_seconds_or_none(ms: int, seconds: float | None) -> None:
    assert RestConfig(timeout_ms=ms).timeout_s == seconds


@pytest.mark.parametrize(
    ("session", "threads"),
    [
        (SessionConfig(), (0, 0)),
        (SessionConfig(parallelism=4), (4, 4)),
        (SessionConfig(intra_op=2), (2, 0)),
        (SessionConfig(parallelism=4, inter_op=3), (0, 3)),
    ],
)
def test_single_op_settings_outrank_the_common_one(
    session: SessionConfig, threads: tuple[int, int]
) -> None:
    assert session.threads == threads


# The session's ConfigProto


def config_proto(session: SessionConfig) -> protos.ConfigProto:
    return protos.ConfigProto.FromString(session.config_proto())


def test_session_grows_gpu_memory_unless_told_otherwise() -> None:
    assert config_proto(SessionConfig()) == protos.ConfigProto(
        gpu_options=protos.GPUOptions(allow_growth=True)
    )
    assert not config_proto(SessionConfig(gpu_memory_growth=False)).gpu_options.allow_growth


def test_settings_reach_the_session() -> None:
    made = config_proto(SessionConfig(intra_op=2, inter_op=3, gpu_memory_fraction=0.25))
    assert (made.intra_op_parallelism_threads, made.inter_op_parallelism_threads) == (2, 3)
    assert made.gpu_options.per_process_gpu_memory_fraction == 0.25


def test_settings_replace_those_of_the_base_even_by_zeros() -> None:
    base = protos.ConfigProto(
        intra_op_parallelism_threads=5,
        inter_op_parallelism_threads=6,
        allow_soft_placement=True,
        gpu_options=protos.GPUOptions(
            per_process_gpu_memory_fraction=0.5, allow_growth=True, visible_device_list="1"
        ),
    )
    session = SessionConfig(gpu_memory_growth=False, base=base.SerializeToString())
    assert config_proto(session) == protos.ConfigProto(
        allow_soft_placement=True,
        gpu_options=protos.GPUOptions(allow_growth=True, visible_device_list="1"),
    )


# Transitions

AVAILABILITY, RESOURCE = TransitionPolicy


@pytest.mark.parametrize(
    ("text", "transitions"),
    [
        ("availability_preserving", Transitions()),
        ("resource_preserving", Transitions(default=RESOURCE)),
        ("big=resource_preserving", Transitions(exceptions={"big": RESOURCE})),
        (
            "a=availability_preserving,resource_preserving,b=c=resource_preserving",
            Transitions(default=RESOURCE, exceptions={"a": AVAILABILITY, "b=c": RESOURCE}),
        ),
    ],
)
def test_transition_policies_have_a_default_and_exceptions(
    text: str, transitions: Transitions
) -> None:
    assert Transitions.parse(text) == transitions


def test_model_without_an_exception_has_the_default_transition() -> None:
    transitions = Transitions(default=RESOURCE, exceptions={"m": AVAILABILITY})
    assert (transitions.of("m"), transitions.of("n")) == (AVAILABILITY, RESOURCE)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "'' is no policy"),
        ("fast", "'fast' is no policy"),
        ("m=", "'' is no policy"),
        ("resource_preserving,", "'' is no policy"),
        ("m=Resource_Preserving", "'Resource_Preserving' is no policy"),
        ("=resource_preserving", "=resource_preserving names no model"),
        ("resource_preserving,resource_preserving", "the default is there twice"),
        ("m=resource_preserving,m=availability_preserving", "model m is there twice"),
    ],
)
def test_transition_policy_that_says_nothing_clear_is_refused(text: str, cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Transitions.parse(text)
    assert caught.value.message == (
        f"--version_transition_policy is {text!r}: {cause}; it must be availability_preserving or "
        "resource_preserving, with exceptions as in availability_preserving,big=resource_preserving"
    )


# CPUs: the process's own mask is wider than, or as wide as, every quota below.

MASK = {0, 1, 2, 3, 4, 5, 6, 7}


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: MASK)
    return tmp_path


def cpus(root: Path, own: str, files: dict[str, str]) -> int:
    (root / "own").write_text(own)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return available_cpus(root, root / "own")


@pytest.mark.parametrize(
    ("quota", "count"),
    [("250000 100000", 3), ("max 100000", 8), ("1000 100000", 1), ("9000000 100000", 8), ("", 8)],
)
def test_cgroup_quota_limits_the_cpus(cgroups: Path, quota: str, count: int) -> None:
    assert cpus(cgroups, "0::/\n", {"cpu.max": quota}) == count


def test_smallest_quota_of_the_group_and_those_above_counts(cgroups: Path) -> None:
    files = {"a/b/cpu.max": "600000 100000", "a/cpu.max": "200000 100000"}
    assert cpus(cgroups, "0::/a/b\n", files) == 2


def test_version_1_cgroups_are_read_too(cgroups: Path) -> None:
    files = {"cpu/x/cpu.cfs_quota_us": "150000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}
    assert cpus(cgroups, "4:memory:/y\n3:cpu,cpuacct:/x\n", files) == 2
    files["cpu/x/cpu.cfs_quota_us"] = "-1\n"
    assert cpus(cgroups, "3:cpu,cpuacct:/x\n", files) == 8


def test_path_of_the_host_falls_back_to_the_roots_quota(cgroups: Path) -> None:
    assert cpus(cgroups, "0::/not/mounted/here\n", {"cpu.max": "100000 100000"}) == 1


def test_no_cgroups_leave_the_affinity_mask(cgroups: Path) -> None:
    assert available_cpus(cgroups, cgroups / "missing") == len(MASK)
