"""Compiles the .proto files of this directory into one serialized FileDescriptorSet.

usage: python protos/build_descriptors.py OUTPUT

Needs grpcio-tools. Files come before those that import them. google/protobuf/*.proto is left out:
the protobuf runtime brings it.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import grpc_tools
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent


def compile_protos(root: Path) -> FileDescriptorSet:
    """Returns what protoc makes of every .proto file under `root`."""
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.proto"))
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "descriptors.binpb"
        flags = [f"-I{root}", f"-I{well_known}", "--include_imports"]
        status = protoc.main(["protoc", *flags, f"--descriptor_set_out={output}", *files])
        if status:
            raise SystemExit(f"protoc failed with status {status}")
        return FileDescriptorSet.FromString(output.read_bytes())


def strip_json_names(messages: Iterable[DescriptorProto]) -> None:
    """Drops the JSON names that protoc derives, as it does in the Python code it generates."""
    for message in messages:
        for field in message.field:
            first, *others = field.name.split("_")
            if field.json_name == first + "".join(word[:1].upper() + word[1:] for word in others):
                field.ClearField("json_name")
        strip_json_names(message.nested_type)


def main(output: Path) -> None:
    """Writes the descriptor set to `output`."""
    compiled = compile_protos(ROOT)
    own = [file for file in compiled.file if not file.name.startswith("google/protobuf/")]
    for file in own:
        strip_json_names(file.message_type)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(FileDescriptorSet(file=own).SerializeToString(deterministic=True))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
