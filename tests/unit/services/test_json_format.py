"""REST's status and metadata against recorded answers of TensorFlow Serving."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format as protobuf_json

from fastserve import protos
from fastserve.services import json_format

RECORDED = [
    json.loads(line)
    for line in Path(__file__).with_name("recorded_replies.jsonl").read_text().splitlines()
]


def named(prefix: str) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in RECORDED if case["id"].startswith(prefix)]


def status_message(case: dict[str, str]) -> Any:
    """The recorded gRPC answer of the same model, or else the recorded JSON read back."""
    if "message" in case:
        return protos.GetModelStatusResponse.FromString(base64.b64decode(case["message"]))
    return protobuf_json.Parse(case["json"], protos.GetModelStatusResponse())


def metadata_message(case: dict[str, str]) -> Any:
    if "message" in case:
        return protos.GetModelMetadataResponse.FromString(base64.b64decode(case["message"]))
    parts = json.loads(case["json"])
    response = protos.GetModelMetadataResponse()
    protobuf_json.ParseDict(parts["model_spec"], response.model_spec)
    signatures = protos.SignatureDefMap()
    protobuf_json.ParseDict(parts["metadata"]["signature_def"], signatures)
    response.metadata["signature_def"].Pack(signatures)
    return response


def key_order(value: Any, *, of_map: bool = False) -> Any:
    """The keys of a JSON value in their order, those of maps sorted: maps have no order."""
    if isinstance(value, list):
        return [key_order(item) for item in value]
    if not isinstance(value, dict):
        return None
    maps = ("signature_def", "inputs", "outputs", "defaults")
    keys = sorted(value) if of_map else list(value)
    return [(key, key_order(value[key], of_map=not of_map and key in maps)) for key in keys]


@pytest.mark.parametrize("case", named("rest/status/"))
def test_status_is_the_recorded_text(case: dict[str, str]) -> None:
    assert json_format.status_json(status_message(case)) == case["json"]


@pytest.mark.parametrize("case", named("rest/metadata/"))
def test_metadata_is_the_recorded_json_with_its_layout(case: dict[str, str]) -> None:
    text = json_format.metadata_json(metadata_message(case))
    assert json.loads(text) == json.loads(case["json"])
    assert sorted(line.rstrip(",") for line in text.splitlines()) == sorted(
        line.rstrip(",") for line in case["json"].splitlines()
    )
    ours, recorded = json.loads(text)["metadata"], json.loads(case["json"])["metadata"]
    assert key_order(ours["signature_def"]) == key_order(recorded["signature_def"])
    assert text[:12] == case["json"][:12]
    assert text[-12:] == case["json"][-12:]


def float_text(value: float) -> str:
    text = json_format.to_json(protos.FloatList(value=[value]))
    return text.split("[\n  ")[1].split("\n")[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (10.0, "10"),
        (-0.0, "-0"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (16777216.0, "16777216"),
        (1e6, "1e+06"),
        (3.4028234663852886e38, "3.40282347e+38"),
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
    ],
)
def test_float_has_six_digits_or_nine(value: float, text: str) -> None:
    assert float_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (1 / 3, "0.33333333333333331"), (1e15, "1e+15"), (2.0, "2")]
)
def test_double_has_fifteen_digits_or_seventeen(value: float, text: str) -> None:
    assert f"\n  {text}\n" in json_format.to_json(protos.TensorProto(double_val=[value]))


def test_scalars_of_each_kind() -> None:
    tensor = protos.TensorProto(
        dtype=9999, tensor_content=b"\xfb\xff", bool_val=[True, False], uint64_val=[2**64 - 1]
    )
    parsed = json.loads(json_format.to_json(tensor))
    assert parsed["dtype"] == 9999
    assert parsed["tensor_content"] == "+/8="
    assert parsed["bool_val"] == [True, False]
    assert parsed["uint64_val"] == ["18446744073709551615"]
    assert "tensor_shape" not in parsed


def test_text_is_escaped_as_cpp_escapes_it() -> None:
    name = 'a<b>"\\\n\x01\x7f\u2028\U000e0001é漢'
    text = json_format.to_json(protos.ModelSpec(name=name))
    escaped = r"a\u003cb\u003e\"\\\n\u0001\u007f\u2028\udb40\udc01é漢"
    assert f'"name": "{escaped}"' in text
    assert json.loads(text)["name"] == name


def test_keys_of_maps_are_strings_in_order() -> None:
    debug_info = protos.GraphDebugInfo(name_to_trace_id={"b": 2, "a": 1})
    debug_info.frames_by_id[10].line = 1
    debug_info.frames_by_id[9].line = 2
    parsed = json.loads(json_format.to_json(debug_info))
    assert list(parsed["name_to_trace_id"].items()) == [("a", "1"), ("b", "2")]
    assert list(parsed["frames_by_id"]) == ["9", "10"]
