"""Platform maps: what of them reaches a platform, and what is said of the rest."""

from pathlib import Path

import pytest

from fastserve import protos
from fastserve.cli import server_config
from fastserve.command_line import parse_flags
from fastserve.config.batching import BatchingConfig, BatchingParameters
from fastserve.config.platform_config_file import read_platform_config_file
from fastserve.config.server import LiteConfig, PlatformConfig, WarmupConfig
from fastserve.errors import INTERNAL, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, ServingError

ADAPTER = "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig"


def entry(bundle: str, *, name: str = "tensorflow", adapter: str = ADAPTER) -> str:
    """One platform, its SessionBundleConfig in text format."""
    return (
        f"platform_configs {{ key: '{name}' value {{ source_adapter_config {{ "
        f"[{adapter}] {{ legacy_config {{ {bundle} }} }} }} }} }}\n"
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "platforms.config"


def read(file: Path, text: str, **warmup: bool) -> dict[str, PlatformConfig]:
    file.write_text(text)
    base = WarmupConfig(iterations=9, **warmup)
    return dict(read_platform_config_file(str(file), gpu_memory_growth=False, warmup=base))


def one(file: Path, bundle: str, **warmup: bool) -> PlatformConfig:
    platforms = read(file, entry(bundle), **warmup)
    assert platforms.keys() == {"tensorflow"}
    return platforms["tensorflow"]


def refusal(file: Path, text: str) -> tuple[int, str]:
    with pytest.raises(ServingError) as caught:
        read(file, text)
    return caught.value.code, caught.value.message


def test_empty_bundle_has_the_defaults_of_its_message(file: Path) -> None:
    """Warm-up is off in the message, where the flag's default is on."""
    assert one(file, "") == PlatformConfig(
        config_proto=b"", warmup=WarmupConfig(enabled=False, iterations=1)
    )


def test_bundle_says_it_all(file: Path) -> None:
    made = one(
        file,
        """
        session_config {
          intra_op_parallelism_threads: 2 inter_op_parallelism_threads: -1
          gpu_options { per_process_gpu_memory_fraction: 0.5 }
        }
        saved_model_tags: 'serve' saved_model_tags: 'gpu'
        enable_model_warmup: true
        model_warmup_options { num_request_iterations { value: 3 } }
        mixed_precision: 'bfloat16'
        remove_unused_fields_from_bundle_metagraph: true
        """,
        synthetic=True,
        check_method_names=True,
    )
    rewriter = protos.RewriterConfig(auto_mixed_precision_onednn_bfloat16=protos.RewriterConfig.ON)
    assert protos.ConfigProto.FromString(made.config_proto) == protos.ConfigProto(
        intra_op_parallelism_threads=2,
        inter_op_parallelism_threads=-1,
        gpu_options=protos.GPUOptions(per_process_gpu_memory_fraction=0.5),
        graph_options=protos.GraphOptions(rewrite_options=rewriter),
    )
    assert made.tags == ("serve", "gpu")
    assert made.warmup == WarmupConfig(
        enabled=True, iterations=3, synthetic=True, check_method_names=True
    )


def test_batching_is_on_where_its_parameters_are_set(file: Path) -> None:
    assert one(file, "enable_per_model_batching_params: true").batching is None
    parameters = "batching_parameters { max_batch_size { value: 8 } }"
    assert one(file, parameters).batching == BatchingConfig(
        parameters=BatchingParameters(max_batch_size=8)
    )
    made = one(file, f"{parameters} enable_per_model_batching_params: true")
    assert made.batching is not None
    assert made.batching.per_model
    ignored = one(file, f"{parameters} wrap_session_with_no_threading_params: true")
    assert ignored.batching is None


def test_tensorflow_lite_has_one_interpreter_unless_told_otherwise(file: Path) -> None:
    preferred = "prefer_tflite_model: true"
    assert one(file, preferred).lite == LiteConfig(preferred=True, pools=1)
    made = one(file, f"{preferred} num_tflite_pools: 3 num_tflite_interpreters_per_pool: 2")
    assert made.lite == LiteConfig(preferred=True, pools=3, interpreters_per_pool=2)
    assert one(file, f"{preferred} num_tflite_interpreters: 4").lite.pools == 4
    assert one(file, "num_tflite_pools: 3").lite == LiteConfig()


def test_platforms_are_independent(file: Path) -> None:
    made = read(file, entry("saved_model_tags: 'a'", name="one") + entry("", name="two"))
    assert {name: platform.tags for name, platform in made.items()} == {
        "one": ("a",),
        "two": ("serve",),
    }


def test_memory_growth_is_turned_on_but_never_off(file: Path) -> None:
    for growth, text in ((True, ""), (False, "session_config { gpu_options { allow_growth: 1 } }")):
        file.write_text(entry(text))
        (made,) = read_platform_config_file(
            str(file), gpu_memory_growth=growth, warmup=WarmupConfig()
        ).values()
        assert protos.ConfigProto.FromString(made.config_proto).gpu_options.allow_growth


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (
            "session_target: 'grpc://h:1'",
            "session_target of platform tensorflow cannot be used: sessions run in this process; "
            "leave it out",
        ),
        (
            "batching_parameters { num_batch_threads { value: 0 } }",
            "num_batch_threads must be positive; was 0",
        ),
        ("prefer_tflite_model: true num_tflite_pools: 1025", "--num_tflite_pools is 1025; "),
        (
            "enable_model_warmup: true model_warmup_options { num_request_iterations {} }",
            "num_request_iterations of platform tensorflow is 0; it must be at least 1. To run no "
            "warm-up requests, leave enable_model_warmup out",
        ),
        ("saved_model_tags: ''", "saved_model_tags is ''; no tag may be empty"),
    ],
)
def test_field_that_cannot_be_obeyed_is_refused(file: Path, bundle: str, message: str) -> None:
    code, text = refusal(file, entry(bundle))
    assert code == INVALID_ARGUMENT
    assert text.startswith(message)


def test_saved_model_config_is_refused_as_upstream_does(file: Path) -> None:
    code, text = refusal(file, entry("enable_saved_model_config: true"))
    assert code == UNIMPLEMENTED
    assert text.startswith("Saved model config functionality is not implemented.")


def test_fields_without_effect_are_warned_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    one(
        file,
        """
        session_run_load_threadpool_index { value: 1 }
        experimental_transient_ram_bytes_during_load: 1
        in_graph_batching_parameters { max_batch_size: 1 }
        experimental_fixed_input_tensors { name: 'x' }
        model_warmup_options { num_model_warmup_threads { value: 2 } }
        enable_session_metadata: true
        resource_estimation_uses_validation_result: true
        mixed_precision: 'float16'
        """,
    )
    assert [message.partition(" ")[0] for message in caplog.messages] == [
        "session_run_load_threadpool_index",
        "experimental_transient_ram_bytes_during_load",
        "in_graph_batching_parameters",
        "experimental_fixed_input_tensors",
        "enable_session_metadata",
        "resource_estimation_uses_validation_result",
        "num_model_warmup_threads",
        "float16",
    ]
    assert caplog.messages[4] == (
        "enable_session_metadata of platform tensorflow has no effect: there is no reader of the "
        "metadata"
    )


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "platform_configs { key: 'p' value {} }",
            INVALID_ARGUMENT,
            "Supplied config's type_url could not be parsed: ",
        ),
        (
            "platform_configs { key: 'p' "
            "value { source_adapter_config { type_url: 'h/no.Such' } } }",
            INTERNAL,
            "Unable to find compiled-in proto descriptor of type no.Such",
        ),
        (
            "platform_configs { key: 'p' value { source_adapter_config { "
            "[type.googleapis.com/tensorflow.serving.SessionBundleConfig] "
            "{ saved_model_tags: 't' } } } }",
            INVALID_ARGUMENT,
            "Couldn't find factory for config proto message type "
            'tensorflow.serving.SessionBundleConfig\nconfig=saved_model_tags: "t"\n',
        ),
    ],
    ids=["nothing", "unknown", "another"],
)
def test_adapter_of_another_type_is_refused_as_upstream_does(
    file: Path, text: str, code: int, message: str
) -> None:
    assert refusal(file, text) == (code, message)


def test_file_is_read_as_strictly_as_every_other(file: Path) -> None:
    assert refusal(file, "") == (
        INVALID_ARGUMENT,
        f"Invalid protobuf file: '{file}': the file is empty",
    )
    code, text = refusal(file, entry("no_such_field: 1"))
    assert (code, text.partition(": 1:")[0]) == (
        INVALID_ARGUMENT,
        f"Invalid protobuf file: '{file}': Error parsing text-format "
        "tensorflow.serving.PlatformConfigMap",
    )
    with pytest.raises(ServingError) as caught:
        read_platform_config_file("/no/file", gpu_memory_growth=True, warmup=WarmupConfig())
    assert (caught.value.code, caught.value.message) == (
        NOT_FOUND,
        "/no/file; No such file or directory",
    )


# Beside the flags.


def test_file_replaces_flags_with_one_warning_each(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text(entry("saved_model_tags: 'serve'"))
    made = server_config(
        parse_flags(
            [
                *("--model_base_path=/", f"--platform_config_file={file}"),
                *("--saved_model_tags=gpu", "--tensorflow_session_parallelism=3"),
                *("--mixed_precision=bfloat16", "--gpu_memory_growth=false", "--synthetic_warmup"),
            ]
        )
    )
    warmup = WarmupConfig(enabled=False, synthetic=True)
    assert made.platforms == {"tensorflow": PlatformConfig(config_proto=b"", warmup=warmup)}
    assert caplog.messages == [
        f"--{name} has no effect: --platform_config_file replaces it"
        for name in ("saved_model_tags", "tensorflow_session_parallelism", "mixed_precision")
    ]


def test_model_of_the_flags_needs_the_platform_tensorflow(file: Path) -> None:
    file.write_text(entry("", name="other"))
    with pytest.raises(ServingError) as caught:
        server_config(parse_flags(["--model_base_path=/", f"--platform_config_file={file}"]))
    assert (caught.value.code, caught.value.message) == (
        INVALID_ARGUMENT,
        "Model model requests unsupported platform tensorflow",
    )
