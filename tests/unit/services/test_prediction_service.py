from typing import Any

import pytest

from fastserve import protos
from fastserve.errors import ServingError
from fastserve.services.backend import ServableInfo
from fastserve.services.prediction_service import model_metadata
from unit.services.fake_backend import NOT_FOUND, FixedBackend

INVALID_ARGUMENT = 3

SIGNATURES = protos.SignatureDefMap()
SIGNATURES.signature_def["serving_default"].inputs["x"].name = "x:0"
SIGNATURES.signature_def["other"].method_name = "tensorflow/serving/predict"


@pytest.fixture
def backend() -> FixedBackend:
    info = ServableInfo(
        name="m", version=7, signature_def_map=SIGNATURES.SerializeToString(), path="/m/7"
    )
    return FixedBackend(
        servables={("m", None, None): info, ("m", 0, None): info, ("m", None, "stable"): info}
    )


def ask(backend: FixedBackend, *fields: str, **spec: Any) -> Any:
    request = protos.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.SetInParent()
    request.model_spec.name = spec.get("name", "m")
    request.model_spec.signature_name = spec.get("signature_name", "")
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    return model_metadata(backend, request)


def refusal(backend: FixedBackend, *fields: str, **spec: Any) -> tuple[int, str]:
    with pytest.raises(ServingError) as caught:
        ask(backend, *fields, **spec)
    return caught.value.code, caught.value.message


def test_metadata_is_all_signatures_in_an_any(backend: FixedBackend) -> None:
    response = ask(backend, "signature_def")
    assert list(response.metadata) == ["signature_def"]
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    unpacked = protos.SignatureDefMap()
    assert packed.Unpack(unpacked)
    assert unpacked == SIGNATURES


def test_model_spec_tells_name_and_version_only(backend: FixedBackend) -> None:
    response = ask(backend, "signature_def", label="stable", signature_name="other")
    expected = protos.ModelSpec(name="m")
    expected.version.value = 7
    assert response.model_spec == expected


@pytest.mark.parametrize(
    ("spec", "lookup"),
    [
        ({}, ("m", None, None)),
        ({"version": 0}, ("m", 0, None)),
        ({"label": "stable"}, ("m", None, "stable")),
    ],
)
def test_version_and_label_choose_the_servable(
    backend: FixedBackend, spec: dict[str, Any], lookup: tuple[object, ...]
) -> None:
    ask(backend, "signature_def", "signature_def", **spec)
    assert backend.lookups == [lookup]


def test_failed_lookup_is_the_answer(backend: FixedBackend) -> None:
    assert refusal(backend, "signature_def", name="other") == (NOT_FOUND, "no other")


def test_fields_are_checked_before_the_model_is_looked_up(backend: FixedBackend) -> None:
    none = "GetModelMetadataRequest must specify at least one metadata_field"
    assert refusal(backend, name="other") == (INVALID_ARGUMENT, none)
    unknown = (INVALID_ARGUMENT, "Metadata field other is not supported")
    assert refusal(backend, "signature_def", "other", name="") == unknown
    assert refusal(backend, "") == (INVALID_ARGUMENT, "Metadata field  is not supported")
    assert backend.lookups == []


def test_empty_model_name_is_invalid(backend: FixedBackend) -> None:
    message = "ModelSpec has no name specified."
    assert refusal(backend, "signature_def", name="") == (INVALID_ARGUMENT, message)


def test_missing_model_spec_comes_first(backend: FixedBackend) -> None:
    with pytest.raises(ServingError) as caught:
        model_metadata(backend, protos.GetModelMetadataRequest(metadata_field=["other"]))
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, "Missing ModelSpec")
