"""Flags: their forms, their defaults and what is said of wrong ones."""

import os
import subprocess
from pathlib import Path

import pytest

from fastserve import cli, protos
from fastserve.cli import START_FAILED, server_config
from fastserve.command_line import help_text, parse_flags
from fastserve.config.auth import AuthConfig
from fastserve.config.models import (
    TENSORFLOW_PLATFORM,
    ModelConfig,
    TransitionPolicy,
    Transitions,
)
from fastserve.config.server import (
    ANY_PORT,
    LiteConfig,
    LoadConfig,
    PlatformConfig,
    ServerConfig,
    WarmupConfig,
)
from fastserve.config.transport import TransportConfig
from fastserve.errors import INTERNAL, INVALID_ARGUMENT, NOT_FOUND, ConfigError, ServingError
from fastserve.flags.table import GROUPS
from support.server import command, environment

MODEL = ModelConfig(name="m", base_path="/")


def config(*arguments: str) -> ServerConfig:
    """What the arguments make of a server of MODEL."""
    return server_config(parse_flags(["--model_name=m", "--model_base_path=/", *arguments]))


def platform(*arguments: str) -> PlatformConfig:
    """What the arguments make of the only platform."""
    (made,) = config(*arguments).platforms.items()
    assert made[0] == TENSORFLOW_PLATFORM
    return made[1]


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
    assert platform().warmup == WarmupConfig(enabled=True, iterations=1, synthetic=False)


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
        *("--enable_serialization_as_tensor_content", "--io_threads=11", "--worker_threads=12"),
        *("--shutdown_grace_seconds=1.5", "--port_file=/p"),
    )
    assert (made.grpc.port, made.grpc.max_message_bytes) == (1, 2)
    assert (made.rest.port, made.rest.timeout_s, made.rest.max_body_bytes) == (3, None, 5)
    assert (made.load.poll_wait_s, made.load.max_retries) == (6, 7)
    assert made.load.retry_interval_s == 8.0
    assert made.platforms[TENSORFLOW_PLATFORM].tags == ("serve", "gpu")
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
    auth = AuthConfig(token_file="/v", admin_token_file="/w")
    assert config("--auth_token_file=/v", "--admin_auth_token_file=/w").auth == auth
    assert config().grpc.socket_mode is None


def test_limits_of_the_grpc_port_reach_the_configuration() -> None:
    made = config(
        *("--grpc_max_connections=1", "--grpc_max_streams_per_connection=2"),
        *("--grpc_max_metadata_bytes=3", "--grpc_max_resets_per_second=4"),
        *("--grpc_max_control_frames_per_second=5", "--grpc_max_buffered_bytes=6"),
        *("--grpc_handshake_timeout_seconds=0.007", "--grpc_first_byte_timeout_seconds=0"),
        *("--grpc_stall_timeout_seconds=0.0001", "--grpc_max_requests_in_flight=8"),
        "--grpc_max_bytes_in_flight=9",
    ).grpc.transport
    assert made == TransportConfig(
        max_connections=1,
        max_requests_in_flight=8,
        max_bytes_in_flight=9,
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


def test_tensorflow_lite_flags_reach_the_configuration() -> None:
    flags = ("--prefer_tflite_model", "--num_tflite_pools=3")
    made = platform(*flags, "--num_tflite_interpreters_per_pool=4")
    assert made.lite == LiteConfig(preferred=True, pools=3, interpreters_per_pool=4)
    assert "--num_tflite_pools is -1" in config_refusal("--num_tflite_pools=-1")


def test_empty_tags_mean_the_serving_tag() -> None:
    assert platform("--saved_model_tags=").tags == ("serve",)


def test_empty_tag_is_refused() -> None:
    assert config_refusal("--saved_model_tags=serve,") == (
        "saved_model_tags is 'serve,'; no tag may be empty, as in serve or serve,gpu"
    )


def test_lifecycle_flags_reach_the_configuration() -> None:
    made = config(
        *("--model_config_file_poll_wait_seconds=1", "--strict_start"),
        *("--allow_version_labels_for_unavailable_models", "--num_load_threads=2"),
        *("--num_unload_threads=3", "--servable_versions_always_present"),
        "--fail_if_no_model_versions_found",
    )
    assert (made.config_file_poll_wait_s, made.strict_start) == (1, True)
    assert made.allow_unavailable_labels
    assert made.load == LoadConfig(
        num_load_threads=2, num_unload_threads=3, always_present=True, fail_if_no_versions=True
    )
    assert platform(
        *("--enable_model_warmup=false", "--num_request_iterations_for_warmup=4"),
        *("--synthetic_warmup", "--enable_signature_method_name_check"),
    ).warmup == WarmupConfig(enabled=False, iterations=4, synthetic=True, check_method_names=True)


@pytest.mark.parametrize("count", [0, -1])
def test_no_number_of_warmup_iterations_means_one(count: int) -> None:
    assert platform(f"--num_request_iterations_for_warmup={count}").warmup.iterations == 1


def test_transition_policy_reaches_the_model_and_those_of_later_configurations() -> None:
    made = config("--version_transition_policy=availability_preserving,m=resource_preserving")
    resource = TransitionPolicy.RESOURCE_PRESERVING
    assert made.transitions == Transitions(exceptions={"m": resource})
    assert made.models[0].transition == resource


def test_model_config_file_takes_the_place_of_the_one_model(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(
        "model_config_list { config { name: 'n' base_path: '/n' model_platform: 'tensorflow' } }"
    )
    made = config(f"--model_config_file={file}", "--model_base_path=/no/such/directory")
    assert made.model_config_file == str(file)
    assert made.models == (ModelConfig(name="n", base_path="/n"),)


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
    return protos.ConfigProto.FromString(platform(*arguments).config_proto)


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


def test_session_parallelism_sets_both_pools() -> None:
    made = session("--tensorflow_session_parallelism=3")
    assert (made.intra_op_parallelism_threads, made.inter_op_parallelism_threads) == (3, 3)


def test_mixed_precision_reaches_the_session_or_brings_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rewriter = protos.RewriterConfig
    made = session("--mixed_precision=bfloat16").graph_options.rewrite_options
    assert made == rewriter(auto_mixed_precision_onednn_bfloat16=rewriter.ON)
    assert caplog.messages == []
    assert session("--mixed_precision=float16") == session()
    assert caplog.messages == [
        "float16 auto mixed precision is not supported. Valid option: bfloat16"
    ]


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
    assert [name for name in names if f"--{name}=" not in shown] == []
    lines = shown.splitlines()
    assert '  --model_name="model"  (string)' in lines
    assert "  --rest_api_port=0, --rest_port=0  (port)" in lines
    assert "  --enable_model_warmup=true  (bool)" in lines
    assert "  --shutdown_grace_seconds=10.0  (number)" in lines
    assert max(map(len, lines)) < 100


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


def test_reader_of_the_help_that_goes_away_brings_no_traceback() -> None:
    """What `--help | head` does, without a race: nobody reads from the first byte on."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            command("--help"), stdout=writer, stderr=subprocess.PIPE, text=True, env=environment()
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


# What the start checks, in the order of TensorFlow Serving.

ALTS = (
    "--use_alts_credentials cannot be used: ALTS works among machines of Google's own only. Secure "
    "the port with TLS instead, by --ssl_config_file, or leave the flag out to serve without "
    "encryption"
)


def test_alts_is_refused_with_what_to_use_instead() -> None:
    assert config_refusal("--use_alts_credentials") == ALTS
    assert config("--use_alts_credentials=false") == config()


def test_alts_beside_tls_is_refused_as_upstream_does() -> None:
    values = parse_flags(["--use_alts_credentials"]) | {"ssl_config_file": "/f"}
    with pytest.raises(ConfigError) as caught:
        server_config(values)
    assert caught.value.message == (
        "Either use_alts_credentials must be false or ssl_config_file must be empty."
    )


def test_no_model_at_all_is_refused() -> None:
    assert config_refusal("--model_base_path=") == (
        "Both server_options.model_base_path and server_options.model_config_file are empty!"
    )


def test_each_fault_is_told_before_those_that_upstream_finds_later(tmp_path: Path) -> None:
    """All faults at once; each is told, mended, and makes way for the next."""
    empty, models, factory = (tmp_path / name for name in ("empty", "models", "factory"))
    empty.touch()
    models.write_text("model_config_list { config { name: 'm' base_path: '/m' } }")
    factory.write_text("# none")
    flags = {
        "use_alts_credentials": "true",
        "model_base_path": "",
        "model_config_file": "",
        "batching_parameters_file": "/f",
        "tensorflow_session_parallelism": "1",
        "tensorflow_intra_op_parallelism": "1",
        "tensorflow_inter_op_parallelism": "1",
        "thread_pool_factory_config_file": str(factory),
    }

    def told() -> str:
        return config_refusal(*(f"--{name}={value}" for name, value in flags.items()))

    assert told() == ALTS
    flags["use_alts_credentials"] = "false"
    assert told().startswith("Both server_options.model_base_path and")
    flags["model_config_file"] = str(empty)
    assert told() == f"Invalid protobuf file: '{empty}': the file is empty"
    flags["model_config_file"] = str(models)
    assert told().startswith("server_options.batching_parameters_file is set without setting")
    flags["batching_parameters_file"] = ""
    assert told().endswith("You cannot configure all.")
    flags["tensorflow_session_parallelism"] = "0"
    assert told().startswith("Illegal setting neither ModelServerConfig::model_type")
    models.write_text("model_config_list {}")
    assert told() == "Supplied config's type_url could not be parsed: "
    del flags["thread_pool_factory_config_file"]
    assert config(*(f"--{name}={value}" for name, value in flags.items())).models == ()


def any_of(url: str, value: str = "") -> str:
    return f"thread_pool_factory_config {{ type_url: '{url}' value: '{value}' }}"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("# none", INVALID_ARGUMENT, "Supplied config's type_url could not be parsed: "),
        (
            any_of("Int32Value"),
            INVALID_ARGUMENT,
            "Supplied config's type_url could not be parsed: Int32Value",
        ),
        (
            any_of("host/"),
            INVALID_ARGUMENT,
            "Supplied config's type_url could not be parsed: host/",
        ),
        (
            any_of("host/no.Such"),
            INTERNAL,
            "Unable to find compiled-in proto descriptor of type no.Such",
        ),
        (
            any_of("host/tensorflow.ConfigProto", "\\001"),
            INVALID_ARGUMENT,
            'Malformed content of Any: type_url: "host/tensorflow.ConfigProto"\nvalue: "\\001"\n',
        ),
        (
            "thread_pool_factory_config { [h/google.protobuf.Int32Value] { value: 3 } }",
            INVALID_ARGUMENT,
            "Couldn't find factory for config proto message type google.protobuf.Int32Value\n"
            "config=value: 3\n",
        ),
        (
            "thread_pool_factory_config { [type.googleapis.com/no.Such] {} }",
            INVALID_ARGUMENT,
            "Invalid protobuf file: '{file}': Error parsing text-format "
            "tensorflow.serving.ThreadPoolFactoryConfig: Type no.Such not found in descriptor pool",
        ),
    ],
    ids=["nothing", "no-host", "no-type", "unknown", "malformed", "no-factory", "unknown-expanded"],
)
def test_thread_pool_factory_is_refused_as_upstream_does(
    tmp_path: Path, text: str, code: int, message: str
) -> None:
    file = tmp_path / "factory.config"
    file.write_text(text)
    with pytest.raises(ServingError) as caught:
        config(f"--thread_pool_factory_config_file={file}")
    assert (caught.value.code, caught.value.message) == (code, message.replace("{file}", str(file)))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_xla_is_off_unless_one_of_its_flags_is_set(device: str) -> None:
    assert config().xla is False
    assert config(f"--xla_{device}_compilation_enabled").xla is True


def test_signatures_are_checked_only_when_asked_for() -> None:
    assert config().check_method_names is False
    assert config("--enable_signature_method_name_check").check_method_names is True
