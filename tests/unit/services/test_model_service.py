from typing import Any

import pytest

from fastserve import protos
from fastserve.errors import ServingError
from fastserve.services.backend import VersionState, VersionStatus
from fastserve.services.model_service import model_status
from unit.services.fake_backend import FixedBackend

INVALID_ARGUMENT, NOT_FOUND = 3, 5


@pytest.fixture
def backend() -> FixedBackend:
    return FixedBackend(
        states={
            "m": [
                VersionStatus(version=2, state=VersionState.AVAILABLE),
                VersionStatus(version=10, state=VersionState.LOADING),
                VersionStatus(
                    version=0, state=VersionState.END, error_code=13, error_message="broken"
                ),
            ]
        }
    )


def ask(backend: FixedBackend, **spec: Any) -> Any:
    request = protos.GetModelStatusRequest()
    request.model_spec.SetInParent()
    request.model_spec.name = spec.get("name", "m")
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "label" in spec:
        request.model_spec.version_label = spec["label"]
    return model_status(backend, request)


def refusal(backend: FixedBackend, **spec: Any) -> tuple[int, str]:
    with pytest.raises(ServingError) as caught:
        ask(backend, **spec)
    return caught.value.code, caught.value.message


def test_all_versions_are_listed_highest_first(backend: FixedBackend) -> None:
    entries = ask(backend).model_version_status
    assert [entry.version for entry in entries] == [10, 2, 0]


def test_state_and_error_are_those_of_the_version(backend: FixedBackend) -> None:
    loading, available, ended = ask(backend).model_version_status
    state = protos.ModelVersionStatus.State
    assert loading.state == state.Value("LOADING")
    assert available.state == state.Value("AVAILABLE")
    assert ended.state == state.Value("END")
    assert ended.status.error_code == protos.Code.Value("INTERNAL")
    assert ended.status.error_message == "broken"
    assert available.HasField("status")
    assert (available.status.error_code, available.status.error_message) == (0, "")


def test_one_version_is_found_by_its_number(backend: FixedBackend) -> None:
    assert [e.version for e in ask(backend, version=2).model_version_status] == [2]


def test_version_zero_counts_as_set(backend: FixedBackend) -> None:
    assert [e.version for e in ask(backend, version=0).model_version_status] == [0]


def test_version_label_is_ignored(backend: FixedBackend) -> None:
    assert ask(backend, label="nope") == ask(backend)


def test_unknown_version_is_not_found(backend: FixedBackend) -> None:
    missing = (NOT_FOUND, "Could not find version -1 of model m")
    assert refusal(backend, version=-1) == missing


@pytest.mark.parametrize("name", ["other", ""])
def test_unknown_model_is_not_found(backend: FixedBackend, name: str) -> None:
    missing = (NOT_FOUND, f"Could not find any versions of model {name}")
    assert refusal(backend, name=name) == missing
    missing = (NOT_FOUND, f"Could not find version 1 of model {name}")
    assert refusal(backend, name=name, version=1) == missing


def test_missing_model_spec_is_invalid(backend: FixedBackend) -> None:
    with pytest.raises(ServingError) as caught:
        model_status(backend, protos.GetModelStatusRequest())
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, "Missing ModelSpec")


def test_numbers_of_states_are_those_on_the_wire() -> None:
    for state in VersionState:
        assert protos.ModelVersionStatus.State.Value(state.name) == state
