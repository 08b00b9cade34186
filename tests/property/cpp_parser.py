"""What protobuf's parser in C++ takes for a message, as TensorFlow Serving has it.

Python's own (upb) takes more: fields of number 0 in unknown groups, for one.
"""

import functools

import tensorflow as tf
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message


def parses(data: bytes, message_type: type[Message]) -> bool:
    """Whether `data` is a message of that type."""
    try:
        tf.io.decode_proto(
            [data],
            message_type.DESCRIPTOR.full_name,
            field_names=[],
            output_types=[],
            descriptor_source=_descriptors(message_type.DESCRIPTOR.file),
            sanitize=True,  # reads it into a message, rather than only skipping over it
        )
    except tf.errors.DataLossError:
        return False
    return True


@functools.cache
def _descriptors(file: FileDescriptor) -> bytes:
    """A file and all that it imports, those first, as decode_proto takes them."""
    files: dict[str, FileDescriptor] = {}

    def add(each: FileDescriptor) -> None:
        for imported in each.dependencies:
            add(imported)
        files[each.name] = each

    add(file)
    result = FileDescriptorSet()
    for each in files.values():
        each.CopyToProto(result.file.add())
    return b"bytes://" + result.SerializeToString()
