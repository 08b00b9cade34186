"""Files in text format: what they hold, and what is said of those that cannot be read."""

from pathlib import Path

import pytest

from fastserve import protos
from fastserve.config.text_proto import read_text_proto
from fastserve.errors import INVALID_ARGUMENT, NOT_FOUND, ServingError


def refusal(path: Path, content: bytes | None = None) -> str:
    """The message about a file, or about its content after the words that all have in common."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ServingError) as caught:
        read_text_proto(str(path), protos.ConfigProto)
    assert caught.value.code == INVALID_ARGUMENT
    begin = f"Invalid protobuf file: '{path}': "
    assert caught.value.message.startswith(begin)
    return caught.value.message.removeprefix(begin)


@pytest.mark.parametrize(
    "text",
    [
        "inter_op_parallelism_threads: 3 gpu_options { allow_growth: true }",
        "inter_op_parallelism_threads: 3, gpu_options: < allow_growth: 1 >;",
        "# a comment\r\ninter_op_parallelism_threads: 0x3 # another\r\ngpu_options{allow_growth:t}",
    ],
)
def test_every_way_to_write_text_format_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text, newline="")
    assert read_text_proto(str(tmp_path / "f"), protos.ConfigProto) == protos.ConfigProto(
        inter_op_parallelism_threads=3, gpu_options=protos.GPUOptions(allow_growth=True)
    )


def test_wrapped_values_and_strings_in_any_language_are_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(
        "max_batch_size { value: 128 } thread_pool_name { value: 'Straße' \"\\303\\274\" }",
        encoding="utf-8",
    )
    read = read_text_proto(str(tmp_path / "f"), protos.BatchingParameters)
    assert (read.max_batch_size.value, read.thread_pool_name.value) == (128, "Straßeü")


def test_comments_alone_are_an_empty_message(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("# nothing yet\n")
    assert read_text_proto(str(tmp_path / "f"), protos.ConfigProto) == protos.ConfigProto()


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as caught:
        read_text_proto(f"{tmp_path}/none", protos.ConfigProto)
    assert (caught.value.code, caught.value.message) == (
        NOT_FOUND,
        f"{tmp_path}/none; No such file or directory",
    )


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "Is a directory"
    assert refusal(tmp_path / "f", b"") == "the file is empty"
    assert refusal(tmp_path / "f" / "g") == "Not a directory"
    assert refusal(tmp_path / "f", b"\xff") == "1:1: the file is not UTF-8 text"
    assert refusal(tmp_path / "f", b"#\n#\n# \xc3(") == "3:3: the file is not UTF-8 text"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "\n  colour: 1",
            '2:3: Message type "tensorflow.ConfigProto" has no field named "colour".',
        ),
        (
            "gpu_options { allow_growth: maybe }",
            '1:29: Expected "true" or "false".',
        ),
        (
            "gpu_options {\n allow_growth: 1 allow_growth: 1 }",
            '2:32: Message type "tensorflow.GPUOptions" should not have multiple "allow_growth" '
            "fields.",
        ),
        ("gpu_options {\n", '1:13: Expected "}".'),
        ("inter_op_parallelism_threads: 1.5", "1:31: Couldn't parse integer: 1.5"),
        ("inter_op_parallelism_threads: 2147483648", "1:31: Value out of range: 2147483648"),
        (
            "gpu_options { visible_device_list: 'it\\'s }\nx: 1",
            "1:36: String missing ending quote: \"'it\\\\'s }\"",
        ),
        ("# a\ngpu_options:", '2:13: Expected "{".'),
        (
            "gpu_options { visible_device_list: '\\ud800' } # '1': No",
            "1:36: 'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not "
            "allowed",
        ),
        ("}", "1:1: Expected identifier or number, got }."),
    ],
)
def test_mistake_is_named_with_its_line_and_column(tmp_path: Path, text: str, cause: str) -> None:
    assert refusal(tmp_path / "f", text.encode()) == (
        f"Error parsing text-format tensorflow.ConfigProto: {cause}"
    )


def test_unknown_type_and_bottomless_nesting_are_refused_too(tmp_path: Path) -> None:
    def parse(text: str) -> str:
        (tmp_path / "f").write_text(text)
        with pytest.raises(ServingError) as caught:
            read_text_proto(f"{tmp_path}/f", protos.ModelServerConfig)
        return caught.value.message.partition("Error parsing text-format ")[2]

    unknown = "custom_model_config { [type.googleapis.com/no.Such] {} }"
    assert parse(unknown) == (
        "tensorflow.serving.ModelServerConfig: Type no.Such not found in descriptor pool"
    )
    nested = "{ [type.googleapis.com/google.protobuf.Any] " * 2000
    assert parse(f"custom_model_config {nested}") == (
        "tensorflow.serving.ModelServerConfig: messages are nested too deeply"
    )
