"""ModelServerConfig: the models that it stands for, and TensorFlow Serving's refusals."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf import text_format

from fastserve import protos
from fastserve.config.model_config_file import (
    check_transition,
    models_from_proto,
    read_model_config_file,
)
from fastserve.config.models import (
    AllPolicy,
    LatestPolicy,
    ModelConfig,
    SpecificPolicy,
    TransitionPolicy,
    Transitions,
    VersionPolicy,
)
from fastserve.config.request_log import RequestLogConfig
from fastserve.errors import FAILED_PRECONDITION, INVALID_ARGUMENT, ServingError

TENSORFLOW = "model_platform: 'tensorflow'"


def config(*models: str) -> protos.ModelServerConfig:
    """The configuration that lists these models."""
    listed = "".join(f"config {{ {model} }}" for model in models)
    return text_format.Parse(f"model_config_list {{ {listed} }}", protos.ModelServerConfig())


def entry(more: str = "", *, name: str = "m", platform: str = TENSORFLOW) -> str:
    return f"name: '{name}' base_path: '/models/{name}' {platform} {more}"


def models(
    proto: protos.ModelServerConfig, *, allow_unavailable_labels: bool = False
) -> tuple[ModelConfig, ...]:
    return models_from_proto(
        proto, transitions=Transitions(), allow_unavailable_labels=allow_unavailable_labels
    )


def refusal(*entries: str, code: int = INVALID_ARGUMENT) -> str:
    with pytest.raises(ServingError) as caught:
        models(config(*entries))
    assert caught.value.code == code
    return caught.value.message


def test_file_lists_models_with_policies_and_labels(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(
        """
        model_config_list {  # as in TensorFlow Serving's guide
          config: {
            name: "first", base_path: "/models/first"; model_platform: "tensorflow"
            model_version_policy { specific { versions: [2, 7] versions: 2 } }
            version_labels { key: 'stable' value: 2 }
            version_labels { key: 'canary' value: 7 }
          }
          config { name: "second" base_path: "/models/second" model_platform: "tensorflow" }
        }
        """
    )
    transitions = Transitions(exceptions={"second": TransitionPolicy.RESOURCE_PRESERVING})
    read = read_model_config_file(str(file))
    assert models_from_proto(read, transitions=transitions) == (
        ModelConfig(
            name="first",
            base_path="/models/first",
            version_policy=SpecificPolicy(frozenset({2, 7})),
            version_labels={"stable": 2, "canary": 7},
        ),
        ModelConfig(
            name="second",
            base_path="/models/second",
            transition=TransitionPolicy.RESOURCE_PRESERVING,
        ),
    )


def test_mistake_in_a_file_is_placed(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list {\n  config { nane: 'm' }\n}\n")
    with pytest.raises(ServingError) as caught:
        read_model_config_file(str(file))
    assert str(caught.value) == (
        f"INVALID_ARGUMENT: Invalid protobuf file: '{file}': Error parsing text-format "
        'tensorflow.serving.ModelServerConfig: 2:12: Message type "tensorflow.serving.ModelConfig" '
        'has no field named "nane".'
    )


@pytest.mark.parametrize("proto", [protos.ModelServerConfig(), config()])
def test_empty_configuration_serves_nothing(proto: protos.ModelServerConfig) -> None:
    assert models(proto) == ()


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", LatestPolicy()),
        ("model_version_policy {}", LatestPolicy()),
        ("model_version_policy { latest {} }", LatestPolicy()),
        ("model_version_policy { latest { num_versions: 0 } }", LatestPolicy()),
        ("model_version_policy { latest { num_versions: 3 } }", LatestPolicy(num_versions=3)),
        ("model_version_policy { all {} }", AllPolicy()),
        ("model_version_policy { specific {} }", SpecificPolicy(frozenset())),
        (
            "model_version_policy { specific { versions: 0 versions: 20170111173521 } }",
            SpecificPolicy(frozenset({0, 20170111173521})),
        ),
    ],
)
def test_version_policies(text: str, policy: VersionPolicy) -> None:
    assert models(config(entry(text)))[0].version_policy == policy


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [entry(), entry(name="n"), entry()],
            "Illegal to list model m multiple times in config list",
        ),
        (
            [f"name: 'm' base_path: 'a/b' {TENSORFLOW}"],
            "Expected model m to have an absolute path or URI; got base_path()=a/b",
        ),
        (
            [f"name: 'm' {TENSORFLOW}"],
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            [f"name: 'm' base_path: 'hdfs://b/m' {TENSORFLOW}"],
            "base path hdfs://b/m of model m is a URI of a kind that cannot be read; it may be one "
            "of s3, gs, oss, http, https, or a path",
        ),
        (
            [f"base_path: '/m' {TENSORFLOW}"],
            "the model name is empty; no request could name the model",
        ),
        (
            [entry(platform="")],
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is m",
        ),
        (
            [entry("model_type: TENSORFLOW")],
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform, model name is m",
        ),
        (
            [entry(platform="model_type: OTHER")],
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        (
            [entry(), entry(name="n", platform="model_platform: 'tensorrt'")],
            "Model n requests unsupported platform tensorrt",
        ),
        (
            [entry("model_version_policy { specific { versions: 4 versions: -3 } }")],
            "the specific policy of model m lists version -3; versions are 0 or more",
        ),
        (
            [entry("version_labels { key: 'old' value: -1 }")],
            "label old of model m is for version -1; versions are 0 or more",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(entries: list[str], message: str) -> None:
    assert refusal(*entries) == message


def platform_models(*platforms: str, present: Mapping[str, str] | None = None) -> list[str]:
    """The platforms of models 0, 1, ... where the server has `a` and `b`."""
    listed = [
        entry(name=str(i), platform=f"model_platform: '{platform}'")
        for i, platform in enumerate(platforms)
    ]
    made = models_from_proto(
        config(*listed),
        transitions=Transitions(),
        platforms=("a", "b"),
        present_platforms=present,
    )
    return [model.platform for model in made]


def test_model_may_be_of_any_platform_that_the_server_has() -> None:
    assert platform_models("a", "b", "a") == ["a", "b", "a"]
    with pytest.raises(ServingError, match="Model 1 requests unsupported platform tensorflow"):
        platform_models("a", "tensorflow")


def test_platform_of_a_model_may_not_change() -> None:
    assert platform_models("a", "b", present={"0": "a", "2": "b"}) == ["a", "b"]
    for new in ("b", "none"):  # Told before that the new one is not there.
        with pytest.raises(ServingError) as caught:
            platform_models("c", new, present={"1": "a"})
        assert (caught.value.code, caught.value.message) == (
            INVALID_ARGUMENT,
            "Illegal to change a model's platform. For model 1 platform was a and new platform "
            f"requested is {new}",
        )


def test_model_type_tensorflow_is_the_platform_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    proto = config(entry(name="typed", platform="model_type: TENSORFLOW"))
    assert models(proto) == models(proto) == models(config(entry(name="typed")))
    assert caplog.messages == [
        "model typed sets model_type, which is deprecated; set model_platform: 'tensorflow' instead"
    ]


def test_logging_config_without_files_is_accepted_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging = "logging_config { sampling_config { sampling_rate: 0.1 } }"
    proto = config(entry(logging, name="l1"), entry(name="quiet"))
    assert [model.request_log for model in models(proto)] == [None, None]
    models(proto)
    assert caplog.messages == [
        "logging_config of l1 has no effect: it has no filename_prefix in a log_collector_config"
    ]


def logging_config(rate: float, collector: str) -> str:
    return (
        f"logging_config {{ sampling_config {{ sampling_rate: {rate} }} "
        f"log_collector_config {{ {collector} }} }}"
    )


def test_logging_config_with_files_is_taken() -> None:
    text = logging_config(0.25, 'type: "tfrecord" filename_prefix: "/logs/m"')
    (model,) = models(config(entry(text)))
    assert model.request_log == RequestLogConfig(path_prefix="/logs/m", sampling_rate=0.25)


@pytest.mark.parametrize(
    ("rate", "collector", "problem"),
    [
        (0.1, 'type: "pubsub"', "is of type 'pubsub'; it must be tfrecord"),
        (1.5, 'filename_prefix: "/l"', "is 1.5; it must be from 0 to 1"),
        (0.1, 'filename_prefix: "logs/m"', "it must be an absolute path"),
    ],
)
def test_logging_config_that_cannot_be_followed_is_refused(
    rate: float, collector: str, problem: str
) -> None:
    with pytest.raises(ServingError) as caught:
        models(config(entry(logging_config(rate, collector))))
    assert problem in caught.value.message


def test_custom_configuration_is_refused() -> None:
    custom = protos.ModelServerConfig()
    custom.custom_model_config.type_url = "type.googleapis.com/google.protobuf.Any"
    with pytest.raises(ServingError) as caught:
        models(custom)
    assert str(caught.value) == (
        "INVALID_ARGUMENT: ModelServer does not yet support custom model config; list the models "
        "in model_config_list"
    )


# Labels

SPECIFIC = "model_version_policy { specific { versions: 1 versions: 2 } }"


@pytest.mark.parametrize("policy", [SPECIFIC, "model_version_policy { specific {} }"])
def test_label_for_a_version_that_the_policy_leaves_out_is_refused(policy: str) -> None:
    label = "version_labels { key: 'canary' value: 3 }"
    assert refusal(entry(f"{policy} {label}"), code=FAILED_PRECONDITION) == (
        "Request to assign label to version 3 of model m, which is not currently available for "
        "inference: label canary is for a version that the model's own specific policy does not "
        "list"
    )


def test_label_for_a_version_that_the_policy_leaves_out_can_be_allowed() -> None:
    proto = config(entry(f"{SPECIFIC} version_labels {{ key: 'canary' value: 3 }}"))
    (model,) = models(proto, allow_unavailable_labels=True)
    assert model.version_labels == {"canary": 3}


@pytest.mark.parametrize(
    ("policy", "labels"),
    [(SPECIFIC, {"a": 1, "b": 2, "c": 2}), ("", {"a": 9}), ("model_version_policy { all {} }", {})],
)
def test_labels_that_may_turn_out_to_fit_are_accepted(
    policy: str, labels: Mapping[str, int]
) -> None:
    text = "".join(f"version_labels {{ key: '{k}' value: {v} }}" for k, v in labels.items())
    assert models(config(entry(f"{policy} {text}")))[0].version_labels == labels


# Transitions from one configuration to another

EMPTY = protos.ModelServerConfig()
CUSTOM = protos.ModelServerConfig(custom_model_config={})


@pytest.mark.parametrize(
    ("old", "new"),
    [(EMPTY, EMPTY), (EMPTY, config(entry())), (EMPTY, CUSTOM), (config(entry()), config())],
)
def test_list_may_follow_a_list_and_anything_may_come_first(
    old: protos.ModelServerConfig, new: protos.ModelServerConfig
) -> None:
    check_transition(old, new)


@pytest.mark.parametrize(
    ("old", "new"), [(config(entry()), CUSTOM), (config(), EMPTY), (CUSTOM, config())]
)
def test_list_gives_way_to_another_list_only(
    old: protos.ModelServerConfig, new: protos.ModelServerConfig
) -> None:
    with pytest.raises(ServingError) as caught:
        check_transition(old, new)
    assert str(caught.value) == (
        "FAILED_PRECONDITION: Cannot transition to requested config. It is only legal to "
        "transition from one ModelConfigList to another."
    )
