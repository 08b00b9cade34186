"""Flags: their forms, their defaults and what is said of wrong ones."""

from pathlib import Path

import pytest

from fastserve import cli, protos
from fastserve.cli import START_FAILED, server_config
from fastserve.config.models import ModelConfig, TransitionPolicy, Transitions
from fastserve.config.server import ANY_PORT, LoadConfig, ServerConfig, WarmupConfig
from fastserve.config.transport import TransportConfig
from fastserve.errors import NOT_FOUND, ConfigError, ServingError
from fastserve.flags import GROUPS, help_text, parse_flags

MODEL = ModelConfig(name="m", base_path="/")


def config(*arguments: str) -> ServerConfig:
    """What the arguments make of a server of MODEL."""
    return server_config(parse_flags(["--model_name=m", "--model_base_path=/", *arguments]))


def config_refusal(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config(*arguments)
    return caught.value.message


def refusal(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_flags(arguments)
    return caught.value.message


def test_no_flags_give_the_defaults_of_tensorflow_serving() -> None:
    values = parse_flags([])
    assert {name: values[name] for name in ("model_name", "model_base_path", "demo", "port")} == {
        "model_name": "model",
        "model_base_path": "/models/model",
        "demo": False,
        "port": 8500,
    }
    made = config()
    assert made == ServerConfig(models=(MODEL,))
    assert (made.rest.enabled, made.rest.timeout_s, made.load.poll_wait_s) == (False, 30.0, 1)
    assert (made.load.max_retries, made.load.retry_interval_s) == (5, 60.0)
    assert (made.config_file_poll_wait_s, made.allow_unavailable_labels) == (0, False)
    assert made.warmup == WarmupConfig(enabled=True, iterations=1, synthetic=False)


@pytest.mark.parametrize("arguments", [("--port=9000",), ("--port", "9000")])
def test_value_stands_after_an_equals_sign_or_as_the_next_word(arguments: tuple[str, ...]) -> None:
    assert parse_flags(arguments)["port"] == 9000


def test_value_may_hold_equals_signs_dashes_or_nothing() -> None:
    assert parse_flags(["--model_name=a=b"])["model_name"] == "a=b"
    assert parse_flags(["--model_name", "--x"])["model_name"] == "--x"
    assert parse_flags(["--port_file="])["port_file"] == ""
    assert parse_flags(["--file_system_poll_wait_seconds", "-1"]) == parse_flags(
        ["--file_system_poll_wait_seconds=-1"]
    )


def test_last_of_repeated_flags_wins() -> None:
    assert parse_flags(["--port=1", "--port", "2", "--port=3"])["port"] == 3
    assert parse_flags(["--rest_api_port=1", "--rest_port=2"])["rest_api_port"] == 2
    assert parse_flags(["--demo", "--demo=false"])["demo"] is False


def test_alias_sets_the_flag_it_stands_for() -> None:
    values = parse_flags(["--rest_port=8501"])
    assert values["rest_api_port"] == 8501
    assert "rest_port" not in values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("--demo", True),
        *((f"--demo={text}", True) for text in ("true", "1", "True", "TRUE")),
        *((f"--demo={text}", False) for text in ("false", "0", "False")),
    ],
)
def test_boolean_forms(text: str, value: bool) -> None:
    assert parse_flags([text])["demo"] is value


def test_word_after_a_boolean_is_not_its_value() -> None:
    assert refusal("--demo", "false") == (
        "unknown argument: false (flags begin with --; see --help)"
    )


@pytest.mark.parametrize("flag", ["port", "rest_api_port"])
def test_auto_is_any_free_port(flag: str) -> None:
    assert parse_flags([f"--{flag}=auto"])[flag] == ANY_PORT


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--prot=1", "unknown argument: --prot=1 (did you mean --port?)"),
        ("--rest_prt=1", "unknown argument: --rest_prt=1 (did you mean --rest_port?)"),
        ("--qqqqqqq", "unknown argument: --qqqqqqq (see --help)"),
        ("-port=1", "unknown argument: -port=1 (flags begin with --; see --help)"),
        ("--", "unknown argument: -- (see --help)"),
        ("--Port=1", "unknown argument: --Port=1 (did you mean --port?)"),
        ("serve", "unknown argument: serve (flags begin with --; see --help)"),
    ],
)
def test_unknown_argument_is_refused_with_the_nearest_flag(argument: str, message: str) -> None:
    assert refusal(argument) == message


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        *(
            (f"--io_threads={text}", "an integer")
            for text in ("", "x", "1.5", "0x1", "1_0", "٣", "9" * 20)
        ),
        *((f"--port={text}", "a port's number, or auto") for text in ("", "http", "1.0")),
        *((f"--demo={text}", "true, false, 1 or 0") for text in ("", "yes", "2")),
        *(
            (f"--grpc_socket_mode={t}", "three octal digits, as 660")
            for t in ("", "9", "rw", "888")
        ),
        ("--shutdown_grace_seconds=soon", "a number"),
        ("--model_config_file_poll_wait_seconds=2147483648", "an integer of 32 bits"),
        ("--model_config_file_poll_wait_seconds=1s", "an integer"),
    ],
)
def test_bad_value_is_refused_with_what_the_flag_takes(argument: str, expected: str) -> None:
    flag, _, text = argument[2:].partition("=")
    assert refusal(argument) == (
        f"Couldn't interpret value {text} for flag {flag}: it must be {expected}"
    )


@pytest.mark.parametrize("text", ["+-1", "--1", "- 1", "1 1"])
def test_digits_with_a_wrong_sign_are_refused_like_any_bad_value(text: str) -> None:
    assert refusal(f"--io_threads={text}").endswith("it must be an integer")


def test_flag_without_its_value_is_refused() -> None:
    assert refusal("--demo", "--port") == "--port needs a value, as --port=VALUE"


def test_flags_reach_the_configuration() -> None:
    made = config(
        *("--port=1", "--grpc_max_message_bytes=2", "--rest_api_port=3"),
        *("--rest_api_timeout_in_ms=-4", "--rest_max_body_bytes=5"),
        *("--file_system_poll_wait_seconds=6", "--max_num_load_retries=7"),
        *("--load_retry_interval_micros=8000000", "--saved_model_tags=serve,gpu"),
        *("--tensorflow_intra_op_parallelism=9", "--tensorflow_inter_op_parallelism=10"),
        *("--enable_serialization_as_tensor_content", "--io_threads=11", "--worker_threads=12"),
        *("--shutdown_grace_seconds=1.5", "--port_file=/p"),
    )
    assert (made.grpc.port, made.grpc.max_message_bytes) == (1, 2)
    assert (made.rest.port, made.rest.timeout_s, made.rest.max_body_bytes) == (3, None, 5)
    assert (made.load.poll_wait_s, made.load.max_retries) == (6, 7)
    assert (made.load.retry_interval_s, made.load.tags) == (8.0, ("serve", "gpu"))
    assert made.session.threads == (9, 10)
    assert made.outputs_as_tensor_content
    assert (made.io_threads, made.worker_threads) == (11, 12)
    assert (made.shutdown_grace_s, made.port_file) == (1.5, "/p")


def test_listening_flags_reach_the_configuration() -> None:
    made = config(
        *("--grpc_socket_path=/s", "--grpc_socket_mode=0660", "--grpc_listen_addresses=a:1,b:2"),
        *("--ssl_config_file=/t", "--rest_ssl_config_file=/u"),
    )
    assert (made.grpc.socket_path, made.grpc.socket_mode) == ("/s", 0o660)
    assert made.grpc.listen_addresses == ("a:1", "b:2")
    assert (made.grpc.ssl_config_file, made.rest.ssl_config_file) == ("/t", "/u")
    assert config().grpc.socket_mode is None


def test_limits_of_the_grpc_port_reach_the_configuration() -> None:
    made = config(
        *("--grpc_max_connections=1", "--grpc_max_streams_per_connection=2"),
        *("--grpc_max_metadata_bytes=3", "--grpc_max_resets_per_second=4"),
        *("--grpc_max_control_frames_per_second=5", "--grpc_max_buffered_bytes=6"),
        *("--grpc_handshake_timeout_seconds=0.007", "--grpc_first_byte_timeout_seconds=0"),
        "--grpc_stall_timeout_seconds=0.0001",
    ).grpc.transport
    assert made == TransportConfig(
        max_connections=1,
        max_streams_per_connection=2,
        max_metadata_bytes=3,
        resets_per_second=4,
        control_frames_per_second=5,
        max_buffered_bytes=6,
        handshake_timeout_ms=7,
        first_byte_timeout_ms=None,
        stall_timeout_ms=1,
    )
    assert (made.reset_burst, made.control_frame_burst) == (40, 50)
    assert config().grpc.transport == TransportConfig()


def test_channel_arguments_come_before_other_flags() -> None:
    made = config(
        *("--grpc_max_message_bytes=1", "--grpc_max_streams_per_connection=2"),
        "--grpc_channel_arguments=grpc.max_receive_message_length=3,grpc.max_concurrent_streams=4",
    )
    assert made.grpc.max_message_bytes == 3
    assert made.grpc.transport.max_streams_per_connection == 4


def test_session_parallelism_sets_both_pools() -> None:
    assert config("--tensorflow_session_parallelism=3").session.threads == (3, 3)


def test_empty_tags_mean_the_serving_tag() -> None:
    assert config("--saved_model_tags=").load.tags == ("serve",)


def test_lifecycle_flags_reach_the_configuration() -> None:
    made = config(
        *("--model_config_file_poll_wait_seconds=1", "--strict_start"),
        *("--allow_version_labels_for_unavailable_models", "--num_load_threads=2"),
        *("--num_unload_threads=3", "--servable_versions_always_present"),
        *("--fail_if_no_model_versions_found", "--enable_model_warmup=false"),
        *("--num_request_iterations_for_warmup=4", "--synthetic_warmup"),
    )
    assert (made.config_file_poll_wait_s, made.strict_start) == (1, True)
    assert made.allow_unavailable_labels
    assert made.load == LoadConfig(
        num_load_threads=2, num_unload_threads=3, always_present=True, fail_if_no_versions=True
    )
    assert made.warmup == WarmupConfig(enabled=False, iterations=4, synthetic=True)


@pytest.mark.parametrize("count", [0, -1])
def test_no_number_of_warmup_iterations_means_one(count: int) -> None:
    assert config(f"--num_request_iterations_for_warmup={count}").warmup.iterations == 1


def test_transition_policy_reaches_the_model_and_those_of_later_configurations() -> None:
    made = config("--version_transition_policy=availability_preserving,m=resource_preserving")
    resource = TransitionPolicy.RESOURCE_PRESERVING
    assert made.transitions == Transitions(exceptions={"m": resource})
    assert made.models[0].transition == resource


def test_model_config_file_takes_the_place_of_the_one_model() -> None:
    made = config("--model_config_file=/f", "--model_base_path=/no/such/directory")
    assert (made.model_config_file, made.models) == ("/f", ())


def test_demo_beside_a_model_config_file_is_refused() -> None:
    assert config_refusal("--demo", "--model_config_file=/f") == (
        "--demo and --model_config_file are both set; to serve the demo model with others, list "
        "its directory in the file"
    )


def test_base_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    assert config_refusal(f"--model_base_path={tmp_path}/none") == (
        f"--model_base_path={tmp_path}/none is not a directory; it must be one that holds one "
        "directory a version, as 1/saved_model.pb. To try a demo model, use --demo"
    )


def session(*arguments: str) -> protos.ConfigProto:
    return protos.ConfigProto.FromString(config(*arguments).session.config_proto())


def test_session_config_file_fills_what_flags_leave_open(tmp_path: Path) -> None:
    file = tmp_path / "session.config"
    file.write_text(
        "intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 8 log_device_placement: true"
        " gpu_options { per_process_gpu_memory_fraction: 0.5 visible_device_list: '0' }"
    )
    made = session(
        f"--tensorflow_session_config_file={file}", "--tensorflow_intra_op_parallelism=2"
    )
    assert made == protos.ConfigProto(
        intra_op_parallelism_threads=2,
        log_device_placement=True,
        gpu_options=protos.GPUOptions(visible_device_list="0", allow_growth=True),
    )


def test_gpu_flags_reach_the_session() -> None:
    made = session("--per_process_gpu_memory_fraction=0.25", "--gpu_memory_growth=false")
    assert made == protos.ConfigProto(
        gpu_options=protos.GPUOptions(per_process_gpu_memory_fraction=0.25)
    )


def test_session_config_file_that_is_missing_or_wrong_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "session.config"
    with pytest.raises(ServingError) as caught:
        config(f"--tensorflow_session_config_file={file}")
    assert (caught.value.code, caught.value.message) == (
        NOT_FOUND,
        f"{file}; No such file or directory",
    )
    file.write_text("threads: 1")
    assert config_refusal(f"--tensorflow_session_config_file={file}") == (
        f"Invalid protobuf file: '{file}': Error parsing text-format tensorflow.ConfigProto: "
        '1:1: Message type "tensorflow.ConfigProto" has no field named "threads".'
    )


def test_custom_op_libraries_are_files_by_absolute_paths(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.so", "b.so")]
    for path in paths:
        Path(path).touch()
    assert config("--custom_op_libraries=" + ",".join(paths)).custom_op_libraries == tuple(paths)


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/no/such.so", "not a file"), ("/", "not a file"), ("a.so", "not an absolute path")],
)
def test_custom_op_library_that_is_not_there_is_refused(path: str, problem: str) -> None:
    assert config_refusal(f"--custom_op_libraries={__file__},{path}") == (
        f"--custom_op_libraries names {path!r}, which is {problem}; it must be absolute paths of "
        "shared libraries, joined by commas"
    )


def test_flag_without_effect_is_accepted_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    parse_flags([])
    assert caplog.messages == []
    parse_flags(["--flush_filesystem_caches", "--flush_filesystem_caches=false"])
    assert caplog.messages == [
        "--flush_filesystem_caches has no effect: the kernel drops file caches when it needs the "
        "memory"
    ]


def test_help_names_every_flag_and_alias_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown == help_text() + "\n"
    names = [name for flags in GROUPS.values() for f in flags for name in (f.name, *f.aliases)]
    assert len(names) > 20
    assert [name for name in names if f"--{name}" not in shown] == []


def test_wrong_command_line_ends_with_255_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--prot=1"]) == START_FAILED == 255
    assert capsys.readouterr().err == (
        "fastserve: unknown argument: --prot=1 (did you mean --port?)\n"
    )


def test_impossible_configuration_ends_with_255(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--model_base_path=relative"]) == START_FAILED
    assert capsys.readouterr().err == (
        "Failed to start server. Error: INVALID_ARGUMENT: Expected model model to have an absolute "
        "path or URI; got base_path()=relative\n"
    )
