"""One message in the many forms that protobuf's wire format has for it, and bytes that are spoilt.

https://protobuf.dev/programming-guides/encoding says which of them a parser must take.
"""

import struct
from collections.abc import Container, Iterable, MutableMapping, MutableSequence, Sequence
from random import Random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)

_FIXED = {
    FieldDescriptor.TYPE_FLOAT: (FIXED32, "<f"),
    FieldDescriptor.TYPE_DOUBLE: (FIXED64, "<d"),
}
_TEXT = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
#: Types whose varint is cut to 32 bits, so that those above do not matter.
_NARROW = (
    FieldDescriptor.TYPE_INT32,
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_ENUM,
)


def varint(value: int, padding: int = 0) -> bytes:
    """`value` (its lowest 64 bits), with `padding` more bytes than it needs."""
    value &= (1 << 64) - 1
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    groups += [0] * padding
    return bytes([0x80 | group for group in groups[:-1]] + groups[-1:])


class Encoder:
    """Writes messages, choosing among equivalent forms by `random`.

    Messages of the types `plain` are written as protobuf's own serializer does.
    """

    def __init__(self, random: Random, plain: Container[Descriptor] = ()) -> None:
        self._random = random
        self._plain = plain

    def encode(self, message: Message) -> bytes:
        return b"".join(self._pieces(message))

    def _pieces(self, message: Message) -> list[bytes]:
        """The fields of a message; any cut between two of them leaves two messages to merge."""
        if message.DESCRIPTOR in self._plain:
            return [message.SerializeToString()]
        fields = [self._field(field, value) for field, value in message.ListFields()]
        fields.append([self._unknown() for _ in range(self._few())])
        return self._interleave(fields)

    def _interleave(self, lists: Iterable[list[bytes]]) -> list[bytes]:
        """All items; those of one list keep their order."""
        slots = [iterator for items in lists for iterator in [iter(items)] * len(items)]
        self._random.shuffle(slots)
        return [next(slot) for slot in slots]

    def _field(self, field: FieldDescriptor, value: Any) -> list[bytes]:
        if isinstance(value, MutableMapping):
            return self._map(field, value)
        if not isinstance(value, MutableSequence):
            return self._single(field, value)
        if field.message_type:
            return [self._bytes(field.number, self.encode(each)) for each in value]
        if field.type in _TEXT:
            return [self._scalar(field, each) for each in value]
        return self._numbers(field, list(value))

    def _single(self, field: FieldDescriptor, value: Any) -> list[bytes]:
        """The last of several counts; messages are merged."""
        if field.message_type:
            return self._cut(field.number, self._pieces(value))
        others = [self._scalar(field, field.default_value) for _ in range(self._few())]
        return [*others, self._scalar(field, value)]

    def _cut(self, number: int, pieces: Sequence[bytes]) -> list[bytes]:
        cuts = sorted(self._random.randint(0, len(pieces)) for _ in range(self._few()))
        bounds = zip([0, *cuts], [*cuts, len(pieces)], strict=True)
        return [self._bytes(number, b"".join(pieces[begin:end])) for begin, end in bounds]

    def _map(self, field: FieldDescriptor, value: Any) -> list[bytes]:
        """The last entry of a key counts, whole."""
        key_field, value_field = (field.message_type.fields_by_number[n] for n in (1, 2))
        entries = []
        for key in value:
            spoilt = [self._single(key_field, key) for _ in range(self._few())]
            entry = [self._single(key_field, key), self._single(value_field, value[key])]
            whole = b"".join(self._interleave(entry))
            entries.append(
                [self._bytes(field.number, b"".join(each)) for each in spoilt]
                + [self._bytes(field.number, whole)]
            )
        return self._interleave(entries)

    def _numbers(self, field: FieldDescriptor, values: list[Any]) -> list[bytes]:
        """Packed, each alone, or runs of both."""
        pieces = []
        while values:
            count = self._random.randint(1, len(values))
            run, values = values[:count], values[count:]
            if self._random.random() < 0.5:
                packed = b"".join(self._number(field, each) for each in run)
                pieces.append(self._bytes(field.number, packed))
            else:
                pieces += [self._scalar(field, each) for each in run]
        return pieces

    def _scalar(self, field: FieldDescriptor, value: Any) -> bytes:
        if field.type in _TEXT:
            return self._bytes(field.number, value.encode() if isinstance(value, str) else value)
        kind = _FIXED[field.type][0] if field.type in _FIXED else VARINT
        return self._tag(field.number, kind) + self._number(field, value)

    def _number(self, field: FieldDescriptor, value: Any) -> bytes:
        if field.type in _FIXED:
            return struct.pack(_FIXED[field.type][1], value)
        if field.type in _NARROW:
            value = (int(value) & 0xFFFFFFFF) | self._random.choice((0, 0, 0xFFFFFFFF)) << 32
        if field.type == FieldDescriptor.TYPE_BOOL and value:
            value = self._random.choice((1, 1, 2, 1 << 40))
        return self._varint(int(value), longest=10)

    def _bytes(self, number: int, content: bytes) -> bytes:
        return self._tag(number, BYTES) + self._varint(len(content), longest=5) + content

    def _tag(self, number: int, kind: int) -> bytes:
        return self._varint(number << 3 | kind, longest=5)

    def _varint(self, value: int, longest: int) -> bytes:
        spare = longest - len(varint(value))
        return varint(value, self._random.randint(0, spare) if self._seldom() else 0)

    def _unknown(self, depth: int = 2) -> bytes:
        """A field that no message here has."""
        number = self._random.choice((99, 20_000, (1 << 29) - 1))
        kind = self._random.choice((VARINT, FIXED64, BYTES, FIXED32, GROUP))
        if kind == GROUP:
            inner = self._unknown(depth - 1) if depth else b""
            return self._tag(number, GROUP) + inner + self._tag(number, GROUP_END)
        content = {
            VARINT: self._varint(self._random.getrandbits(40), longest=10),
            FIXED64: bytes(8),
            BYTES: varint(3) + b"\xff\x0a\x00",
            FIXED32: bytes(4),
        }
        return self._tag(number, kind) + content[kind]

    def _few(self) -> int:
        return self._random.choice((0, 0, 0, 1, 2))

    def _seldom(self) -> bool:
        return self._random.random() < 0.1


def spoil(data: bytes, random: Random) -> bytes:
    """`data` with a few bytes changed, left out, repeated or put in."""
    for _ in range(random.randint(1, 3)):
        begin = random.randint(0, len(data))
        end = min(len(data), begin + random.randint(1, 8))
        piece = data[begin:end]
        new = random.choice(
            (
                b"",
                piece * 2,
                random.randbytes(len(piece)),
                bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))]) + piece[1:],
                piece[:1] + random.randbytes(2) + piece[1:],
            )
        )
        data = data[:begin] + new + data[end:]
    return data[: random.randint(0, len(data))] if random.random() < 0.1 else data
