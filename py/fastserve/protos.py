"""The messages and services of TensorFlow and TensorFlow Serving, without importing either.

`protos.PredictRequest`, `protos.ModelServerConfig`, `protos.ConfigProto` and so on are message
classes, made when first asked for; `protos.DataType` and `protos.Code` are enum wrappers. Names are
those of the .proto files, without their package.

The descriptors live in protobuf's default pool and equal those of the `tensorflow` and
`tensorflow-serving-api` packages of TensorFlow 2.21, so this module and theirs may be imported into
one process, in any order. In a process that has imported another release whose messages differ,
importing this module raises ImportError.
"""

from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.descriptor import Descriptor, ServiceDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

_PACKAGES = (
    "tensorflow.serving",
    "tensorflow",
    "tensorflow.error",
    "tensorflow.serving.tools",
    "tensorflow.tfrt_stub",
    "fastserve",
)
# The runtime's own files that ours import; protobuf registers a file when its module is imported.
_WELL_KNOWN = (any_pb2, wrappers_pb2)


def _load(pool: descriptor_pool.DescriptorPool) -> None:
    """Adds our files to `pool`; those that it has already, and equal, are left as they are."""
    data = Path(__file__).with_name("descriptors.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        try:
            pool.AddSerializedFile(file.SerializeToString())
        except TypeError as error:
            raise ImportError(
                f"another edition of {file.name} is in use in this process (fastserve's equals "
                f"TensorFlow 2.21's): {error}"
            ) from error


_POOL = descriptor_pool.Default()
_load(_POOL)


def service(full_name: str) -> ServiceDescriptor:
    """Returns a service by its full name ("tensorflow.serving.ModelService"), or KeyError."""
    return _POOL.FindServiceByName(full_name)


def message_class(descriptor: Descriptor) -> Any:
    """Returns the message class of `descriptor`, the same object each time."""
    return message_factory.GetMessageClass(descriptor)


def _find(full_name: str) -> Any:
    """Returns the message class or enum called `full_name`; None if there is none."""
    try:
        return message_class(_POOL.FindMessageTypeByName(full_name))
    except KeyError:
        pass
    try:
        return EnumTypeWrapper(_POOL.FindEnumTypeByName(full_name))
    except KeyError:
        return None


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for package in _PACKAGES:
            if (found := _find(f"{package}.{name}")) is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no message or enum {name!r}")
