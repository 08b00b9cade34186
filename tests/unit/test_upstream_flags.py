"""Every flag of TensorFlow Serving's command line (model_servers/main.cc) is taken."""

import pytest

from fastserve.command_line import parse_flags
from fastserve.flags.models import REPLACED_BY_PLATFORM_CONFIG_FILE
from fastserve.flags.table import GROUPS

BOOL, FLOAT, INTEGER, STRING = "bool", "float", "int", "string"

#: Name -> upstream's type.
UPSTREAM = {
    "port": INTEGER,
    "grpc_socket_path": STRING,
    "rest_api_port": INTEGER,
    "rest_api_num_threads": INTEGER,
    "rest_api_timeout_in_ms": INTEGER,
    "rest_api_enable_cors_support": BOOL,
    "grpc_channel_arguments": STRING,
    "grpc_max_threads": INTEGER,
    "use_alts_credentials": BOOL,
    "ssl_config_file": STRING,
    "enable_grpc_healthcheck_service": BOOL,
    "enable_profiler": BOOL,
    "model_name": STRING,
    "model_base_path": STRING,
    "model_config_file": STRING,
    "model_config_file_poll_wait_seconds": INTEGER,
    "file_system_poll_wait_seconds": INTEGER,
    "num_load_threads": INTEGER,
    "num_unload_threads": INTEGER,
    "max_num_load_retries": INTEGER,
    "load_retry_interval_micros": INTEGER,
    "allow_version_labels_for_unavailable_models": BOOL,
    "flush_filesystem_caches": BOOL,
    "saved_model_tags": STRING,
    "tensorflow_session_parallelism": INTEGER,
    "tensorflow_intra_op_parallelism": INTEGER,
    "tensorflow_inter_op_parallelism": INTEGER,
    "tensorflow_session_config_file": STRING,
    "per_process_gpu_memory_fraction": FLOAT,
    "platform_config_file": STRING,
    "mixed_precision": STRING,
    "xla_cpu_compilation_enabled": BOOL,
    "xla_gpu_compilation_enabled": BOOL,
    "skip_initialize_tpu": BOOL,
    "thread_pool_factory_config_file": STRING,
    "remove_unused_fields_from_bundle_metagraph": BOOL,
    "enable_batching": BOOL,
    "batching_parameters_file": STRING,
    "enable_per_model_batching_parameters": BOOL,
    "enable_model_warmup": BOOL,
    "num_request_iterations_for_warmup": INTEGER,
    "prefer_tflite_model": BOOL,
    "num_tflite_pools": INTEGER,
    "num_tflite_interpreters_per_pool": INTEGER,
    "enable_signature_method_name_check": BOOL,
    "enable_serialization_as_tensor_content": BOOL,
    "monitoring_config_file": STRING,
    "version": BOOL,
}

VALUES = {BOOL: ("true", True), FLOAT: ("0.5", 0.5), INTEGER: ("7", 7), STRING: ("x=y", "x=y")}


def test_every_upstream_flag_is_known() -> None:
    known = {flag.name for flags in GROUPS.values() for flag in flags}
    assert len(UPSTREAM) == 48
    assert UPSTREAM.keys() <= known


@pytest.mark.parametrize("name", sorted(UPSTREAM))
def test_upstream_flag_takes_a_value_of_upstreams_type(name: str) -> None:
    text, value = VALUES[UPSTREAM[name]]
    assert parse_flags([f"--{name}={text}"])[name] == value
    if UPSTREAM[name] == BOOL:
        assert parse_flags([f"--{name}"])[name] is True
        assert parse_flags([f"--{name}=False"])[name] is False


def test_command_line_of_a_kserve_runtime_is_taken() -> None:
    values = parse_flags(
        [
            "--model_name=flowers",
            "--port=9000",
            "--rest_api_port=8080",
            "--model_base_path=/mnt/models",
            "--rest_api_timeout_in_ms=60000",
        ]
    )
    assert (values["model_name"], values["model_base_path"]) == ("flowers", "/mnt/models")
    assert (values["port"], values["rest_api_port"]) == (9000, 8080)
    assert values["rest_api_timeout_in_ms"] == 60_000


def test_flags_that_a_platform_config_file_replaces_are_flags() -> None:
    known = {flag.name for flags in GROUPS.values() for flag in flags}
    assert set(REPLACED_BY_PLATFORM_CONFIG_FILE) <= known
