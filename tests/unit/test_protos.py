"""Our descriptors against those of the TensorFlow packages, and how fastserve.protos gives them."""

import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, text_format

from fastserve import protos

# Files that neither package has, and their fields: message -> {name: number}.
OWN_FILES = {
    "fastserve/batching.proto",
    "fastserve/model_list.proto",
    "fastserve/request_capture.proto",
    "tensorflow/core/grappler/optimizers/inference/batch_op_rewriter.proto",
    "tensorflow/core/tfrt/graph_executor/config.proto",
    "tensorflow_serving/config/monitoring_config.proto",
    "tensorflow_serving/config/ssl_config.proto",
    "tensorflow_serving/servables/tensorflow/remote_op_config_rewriter.proto",
    "tensorflow_serving/servables/tensorflow/saved_model_bundle_source_adapter.proto",
    "tensorflow_serving/servables/tensorflow/saved_model_config.proto",
    "tensorflow_serving/servables/tensorflow/session_bundle_config.proto",
    "tensorflow_serving/servables/tensorflow/thread_pool_factory_config.proto",
}
OWN_FIELDS = {
    "fastserve.BatchingFile": {
        "max_batch_size": 1,
        "batch_timeout_micros": 2,
        "max_enqueued_batches": 3,
        "num_batch_threads": 4,
        "thread_pool_name": 5,
        "allowed_batch_sizes": 6,
        "pad_variable_length_inputs": 7,
        "enable_large_batch_splitting": 8,
        "max_execution_batch_size": 9,
        "signature": 1000,
    },
    "fastserve.CaptureRequest": {"model": 1, "limit": 2},
    "fastserve.CapturedRequest": {"predict_request": 1},
    "fastserve.ListedModel": {
        "name": 1,
        "version_labels": 2,
        "model_version_status": 3,
        "status": 4,
    },
    "fastserve.ModelList": {"models": 1},
    "tensorflow.serving.MonitoringConfig": {"prometheus_config": 1},
    "tensorflow.serving.PrometheusConfig": {"enable": 1, "path": 2},
    "tensorflow.serving.SSLConfig": {
        "server_key": 1,
        "server_cert": 2,
        "custom_ca": 3,
        "client_verify": 4,
    },
    "tensorflow.serving.BatchingParameters": {
        "max_batch_size": 1,
        "batch_timeout_micros": 2,
        "max_enqueued_batches": 3,
        "num_batch_threads": 4,
        "thread_pool_name": 5,
        "allowed_batch_sizes": 6,
        "pad_variable_length_inputs": 7,
        "enable_large_batch_splitting": 8,
        "max_execution_batch_size": 9,
    },
    "tensorflow.serving.SessionBundleConfig": {
        "session_target": 1,
        "session_config": 2,
        "batching_parameters": 3,
        "session_run_load_threadpool_index": 4,
        "experimental_transient_ram_bytes_during_load": 5,
        "saved_model_tags": 6,
        "in_graph_batching_parameters": 7,
        "experimental_fixed_input_tensors": 778,
        "enable_model_warmup": 779,
        "model_warmup_options": 780,
        "enable_session_metadata": 781,
        "remove_unused_fields_from_bundle_metagraph": 782,
        "prefer_tflite_model": 783,
        "resource_estimation_uses_validation_result": 784,
        "num_tflite_interpreters": 785,
        "num_tflite_interpreters_per_pool": 786,
        "num_tflite_pools": 787,
        "wrap_session_with_no_threading_params": 788,
        "enable_per_model_batching_params": 789,
        "enable_saved_model_config": 790,
        "mixed_precision": 791,
    },
    "tensorflow.serving.ModelWarmupOptions": {
        "num_request_iterations": 1,
        "num_model_warmup_threads": 2,
        "model_name": 3,
        "model_version": 4,
        "enable_all_batch_sizes_warmup": 5,
    },
    "tensorflow.serving.SavedModelBundleSourceAdapterConfig": {"legacy_config": 1000},
    "tensorflow.serving.ThreadPoolFactoryConfig": {"thread_pool_factory_config": 1},
    "tensorflow.serving.SavedModelConfig": {
        "session_overrides": 1,
        "tfrt_runtime_config": 2,
        "critical": 3,
    },
    "tensorflow.serving.SessionOverrides": {
        "remote_op_remap_config": 1,
        "batch_op_rewriter_config": 2,
        "disable_meta_optimizer": 3,
    },
    "tensorflow.serving.tools.RemoteOpRemapConfig": {
        "model_name_remap": 1,
        "target_address_remap": 2,
        "propagate_version": 4,
        "propagate_model_name": 5,
        "backend_model_name_to_target_address_remap": 6,
    },
    "tensorflow.serving.BatchOpRewriteConfig": {
        "model_scheduler_options": 1,
        "batch_options": 2,
        "enable_adaptive_shared_batching_thread_pool": 4,
    },
    "tensorflow.serving.BatchOpRewriteConfig.BatchOptions": {
        "num_batch_threads": 1,
        "max_batch_size": 2,
        "batch_timeout_micros": 3,
        "allowed_batch_sizes": 4,
        "max_enqueued_batches": 5,
        "disable_large_batch_splitting": 6,
        "adaptive_batch_scheduler_option": 7,
    },
    "tensorflow.serving.BatchOpRewriteConfig.AdaptiveBatchSchedulerOption": {
        "min_inflight_batches_limit": 1,
        "initial_inflight_batches_limit": 2,
        "max_inflight_batches_limit": 3,
        "batches_to_average_over": 4,
    },
    "tensorflow.tfrt_stub.RuntimeConfigProto": {"config": 1},
}

# Imports every generated module of the packages that our set has a file for.
IMPORT_THEIRS = """
import importlib, pathlib, sys
from google.protobuf import descriptor_pb2, descriptor_pool
import fastserve
data = (pathlib.Path(fastserve.__file__).parent / "descriptors.binpb").read_bytes()
ours = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(data).file}

def import_theirs():
    import tensorflow
    for name in ours:
        try:
            importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        except ModuleNotFoundError:
            pass  # One of ours alone, or one that TensorFlow keeps under another module name.
"""

THEIRS_FIRST = (
    IMPORT_THEIRS
    + """
import_theirs()
missing = set()
for name, file in ours.items():
    theirs = descriptor_pb2.FileDescriptorProto()
    try:
        descriptor_pool.Default().FindFileByName(name).CopyToProto(theirs)
    except KeyError:
        missing.add(name)
    else:
        assert theirs == file, name
from fastserve import protos
from tensorflow_serving.apis import predict_pb2
assert protos.PredictRequest.DESCRIPTOR is predict_pb2.PredictRequest.DESCRIPTOR
request = protos.PredictRequest.FromString(
    predict_pb2.PredictRequest(output_filter=["y"]).SerializeToString()
)
assert list(request.output_filter) == ["y"]
print(*sorted(missing), sep="\\n")
"""
)

OURS_FIRST = (
    IMPORT_THEIRS
    + """
from fastserve import protos
request = protos.PredictRequest(output_filter=["y"])
assert not [name for name in sys.modules if name.partition(".")[0].startswith("tensorflow")]
import_theirs()
from tensorflow_serving.apis import predict_pb2
from tensorflow.core.protobuf import config_pb2
assert protos.PredictRequest.DESCRIPTOR is predict_pb2.PredictRequest.DESCRIPTOR
assert protos.ConfigProto.DESCRIPTOR is config_pb2.ConfigProto.DESCRIPTOR
predict_pb2.PredictRequest().CopyFrom(request)
"""
)

OTHER_EDITION = """
from google.protobuf import descriptor_pb2, descriptor_pool
other = descriptor_pb2.FileDescriptorProto(name="tensorflow/core/framework/versions.proto")
descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
try:
    from fastserve import protos
except ImportError as error:
    print(error)
"""


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_descriptors_equal_the_packages_when_theirs_are_imported_first() -> None:
    assert set(run(THEIRS_FIRST).split()) == OWN_FILES


def test_packages_can_be_imported_after_ours() -> None:
    run(OURS_FIRST)


def test_another_edition_in_the_process_is_an_import_error_that_names_the_file() -> None:
    assert "another edition of tensorflow/core/framework/versions.proto" in run(OTHER_EDITION)


@pytest.mark.parametrize("message", OWN_FIELDS)
def test_message_of_no_package_has_the_published_field_numbers(message: str) -> None:
    fields = descriptor_pool.Default().FindMessageTypeByName(message).fields
    assert {field.name: field.number for field in fields} == OWN_FIELDS[message]


def test_a_batching_file_has_every_field_of_upstreams_as_it_is_there() -> None:
    theirs, ours = descriptor_pb2.DescriptorProto(), descriptor_pb2.DescriptorProto()
    protos.BatchingParameters.DESCRIPTOR.CopyToProto(theirs)
    protos.BatchingFile.DESCRIPTOR.CopyToProto(ours)
    assert ours.field[: len(theirs.field)] == theirs.field[:]


def test_every_message_of_no_package_is_checked() -> None:
    found = set()
    for name in OWN_FILES:
        for message in (
            descriptor_pool.Default().FindFileByName(name).message_types_by_name.values()
        ):
            nested = [n for n in message.nested_types if not n.GetOptions().map_entry]
            found |= {message.full_name, *(n.full_name for n in nested)}
    assert found == set(OWN_FIELDS)


def test_messages_and_enums_are_found_by_their_bare_names() -> None:
    full_names = {
        "ModelServerConfig": "tensorflow.serving.ModelServerConfig",
        "PredictionLog": "tensorflow.serving.PredictionLog",
        "SignatureDefMap": "tensorflow.serving.SignatureDefMap",
        "FileSystemStoragePathSourceConfig": "tensorflow.serving.FileSystemStoragePathSourceConfig",
        "ConfigProto": "tensorflow.ConfigProto",
        "SavedModel": "tensorflow.SavedModel",
        "Example": "tensorflow.Example",
        "RemoteOpRemapConfig": "tensorflow.serving.tools.RemoteOpRemapConfig",
    }
    for name, full_name in full_names.items():
        assert getattr(protos, name).DESCRIPTOR.full_name == full_name
    assert protos.DataType.Value("DT_FLOAT8_E5M2") == 24
    assert protos.Code.Name(5) == "NOT_FOUND"


def test_a_class_is_made_once() -> None:
    assert protos.TensorProto is protos.TensorProto
    assert protos.message_class(protos.TensorProto.DESCRIPTOR) is protos.TensorProto


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchMessage"):
        _ = protos.NoSuchMessage


def test_services_have_their_methods() -> None:
    prediction = protos.service("tensorflow.serving.PredictionService")
    assert {method.name for method in prediction.methods} == {
        "Classify",
        "Regress",
        "Predict",
        "MultiInference",
        "GetModelMetadata",
    }
    model = protos.service("tensorflow.serving.ModelService")
    assert {method.name for method in model.methods} == {
        "GetModelStatus",
        "HandleReloadConfigRequest",
    }
    with pytest.raises(KeyError):
        protos.service("tensorflow.serving.NoService")


def test_a_model_server_config_reads_from_text() -> None:
    config = text_format.Parse(
        """
        model_config_list { config {
          name: "m" base_path: "/models/m" model_platform: "tensorflow"
          model_version_policy { specific { versions: [1, 2] } }
          version_labels { key: "stable" value: 1 }
        } }
        """,
        protos.ModelServerConfig(),
    )
    (model,) = config.model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {"stable": 1}


def test_a_platform_map_reads_from_text_with_its_any_expanded() -> None:
    config = text_format.Parse(
        """
        platform_configs { key: "tensorflow" value { source_adapter_config {
          [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {
            legacy_config {
              session_config { intra_op_parallelism_threads: 2 }
              batching_parameters { max_batch_size { value: 8 } }
            }
          }
        } } }
        """,
        protos.PlatformConfigMap(),
    )
    adapter = protos.SavedModelBundleSourceAdapterConfig()
    assert config.platform_configs["tensorflow"].source_adapter_config.Unpack(adapter)
    assert adapter.legacy_config.session_config.intra_op_parallelism_threads == 2
    assert adapter.legacy_config.batching_parameters.max_batch_size.value == 8
