"""Whatever a command line or a file says, the answer is a configuration or a ServingError."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from wire_forms import spoil

from fastserve import protos
from fastserve.cli import server_config
from fastserve.command_line import parse_flags
from fastserve.config.model_config_file import models_from_proto, read_model_config_file
from fastserve.config.models import (
    AllPolicy,
    LatestPolicy,
    ModelConfig,
    SpecificPolicy,
    Transitions,
)
from fastserve.errors import ServingError
from fastserve.flags.table import GROUPS
from fastserve.servables.tfrecord import write_records
from support.tfrecords import read, read_by_tensorflow

FLAGS = [flag.name for flags in GROUPS.values() for flag in flags if flag.name != "demo"]
flag_values = st.sampled_from(["true", "0", "-1", "65536", "1e9", "nan", "auto", "m=n", ","]) | (
    st.integers(-(2**70), 2**70).map(str) | st.text(st.characters(codec="utf-8"), max_size=6)
)
arguments = st.one_of(
    st.builds("--{}={}".format, st.sampled_from(FLAGS), flag_values),
    st.sampled_from(FLAGS).map("--{}".format),
    flag_values,
)


@given(line=st.lists(arguments, max_size=4))
def test_command_line_is_a_configuration_or_an_error(line: Sequence[str]) -> None:
    with contextlib.suppress(ServingError):
        server_config(parse_flags(["--model_base_path=/", *line]))


names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8)
versions = st.integers(0, 2**63 - 1)
policies = st.one_of(
    st.just(AllPolicy()),
    st.builds(LatestPolicy, num_versions=st.integers(1, 2**32 - 1)),
    st.builds(SpecificPolicy, st.frozensets(versions, min_size=1, max_size=4)),
)
model_configs = st.builds(
    ModelConfig,
    name=names,
    base_path=names.map("/models/{}".format),
    version_policy=policies,
    version_labels=st.dictionaries(names, versions, max_size=3),
)


def listed(models: Sequence[ModelConfig]) -> protos.ModelServerConfig:
    """The message that stands for these models."""
    config = protos.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        entry = config.model_config_list.config.add(
            name=model.name,
            base_path=model.base_path,
            model_platform="tensorflow",
            version_labels=model.version_labels,
        )
        policy = entry.model_version_policy
        if isinstance(model.version_policy, AllPolicy):
            policy.all.SetInParent()
        elif isinstance(model.version_policy, LatestPolicy):
            policy.latest.num_versions = model.version_policy.num_versions
        else:
            policy.specific.versions.extend(model.version_policy.versions)
    return config


@given(
    models=st.lists(model_configs, max_size=4, unique_by=lambda model: model.name),
    as_one_line=st.booleans(),
    as_utf8=st.booleans(),
)
def test_model_config_file_says_what_was_written(
    models: list[ModelConfig], as_one_line: bool, as_utf8: bool
) -> None:
    text = text_format.MessageToString(listed(models), as_one_line=as_one_line, as_utf8=as_utf8)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        config = read_model_config_file(file.name)
    read = models_from_proto(config, transitions=Transitions(), allow_unavailable_labels=True)
    assert read == tuple(models)


@given(
    records=st.lists(st.binary(max_size=40), max_size=4),
    seed=st.integers(0, 2**32 - 1),
    spoilt=st.booleans(),
)
def test_records_are_those_that_tensorflow_reads(
    records: list[bytes], seed: int, spoilt: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "records"
        write_records(path, records)
        if spoilt:
            path.write_bytes(spoil(path.read_bytes(), Random(seed)))
        got = read(path)
        assert got == read_by_tensorflow(path)
    assert spoilt or got == (records, "")
