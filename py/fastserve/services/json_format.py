"""Model status and metadata as the REST API shows them.

The text is the one that protobuf's C++ JSON printer makes with white space, original field names
and default values switched on: one space of indent, fields in the order of their numbers, int64 as
a string, enums by name. protobuf's Python printer differs in the order of fields and the form of
numbers. Maps, which have no order of their own, are sorted by key. Of the well-known types only
wrappers are known here, since none of the others occurs in these replies.
"""

import base64
import json
import math
import re
import struct
from collections.abc import Iterable, MutableMapping, MutableSequence
from operator import attrgetter
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fastserve import protos
from fastserve.services.prediction_service import SIGNATURE_DEF

# What C++ escapes beyond JSON's needs: <, > and characters that are not seen.
_ESCAPED = re.compile(
    "[<>\x7f-\x9f\u00ad\u0600-\u0603\u06dd\u070f\u17b4\u17b5\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
# The stubs know two unrelated classes FieldDescriptor; descriptors give now one, now the other.
_Field: TypeAlias = Any

_WIDE_INTEGERS = (
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
)


def status_json(response: protos.GetModelStatusResponse) -> str:
    """Returns the body of a status reply."""
    return to_json(response)


def metadata_json(response: protos.GetModelMetadataResponse) -> str:
    """Returns the body of a metadata reply, which upstream puts together from three pieces."""
    signatures = protos.SignatureDefMap.FromString(response.metadata[SIGNATURE_DEF].value)
    return (
        f'{{\n"model_spec":{to_json(response.model_spec)},\n'
        f'"metadata": {{"{SIGNATURE_DEF}": {to_json(signatures)}}}\n}}\n'
    )


def to_json(message: Message) -> str:
    """Returns a message as JSON text with a final newline."""
    return _object(message, "\n") + "\n"


def _object(message: Message, newline: str) -> str:
    """Returns a message as a JSON object whose closing brace follows `newline`."""
    fields: list[_Field] = sorted(message.DESCRIPTOR.fields, key=attrgetter("number"))
    return _braced(
        "{}",
        newline,
        (
            f"{_string(field.name)}: {_field(field, getattr(message, field.name), newline + ' ')}"
            for field in fields
            if not field.has_presence or message.HasField(field.name)
        ),
    )


def _field(field: _Field, value: Any, newline: str) -> str:
    inner = newline + " "
    if isinstance(value, MutableMapping):
        key_field, value_field = field.message_type.fields
        entries = (
            f"{_key(key_field, key)}: {_field(value_field, value[key], inner)}"
            for key in sorted(value)
        )
        return _braced("{}", newline, entries)
    if isinstance(value, MutableSequence):
        return _braced("[]", newline, (_single(field, item, inner) for item in value))
    return _single(field, value, newline)


def _braced(braces: str, newline: str, items: Iterable[str]) -> str:
    inside = f",{newline} ".join(items)
    return f"{braces[0]}{newline} {inside}{newline}{braces[1]}" if inside else braces


def _single(field: _Field, value: Any, newline: str) -> str:
    if isinstance(value, Message):
        if value.DESCRIPTOR.file.name == "google/protobuf/wrappers.proto":
            (inner,) = value.DESCRIPTOR.fields
            return _single(inner, getattr(value, inner.name), newline)
        return _object(value, newline)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bytes):
        return _string(base64.b64encode(value).decode())
    if isinstance(value, float):
        return _number(value, single=field.type == FieldDescriptor.TYPE_FLOAT)
    if field.enum_type is not None and value in field.enum_type.values_by_number:
        return _string(field.enum_type.values_by_number[value].name)
    return f'"{value}"' if field.type in _WIDE_INTEGERS else str(value)


def _key(field: _Field, key: Any) -> str:
    text = _single(field, key, "")
    return text if text.startswith('"') else f'"{text}"'


def _number(value: float, *, single: bool) -> str:
    """Returns the fewest digits, of two choices, that read back as the same float or double."""
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    few, many = (6, 9) if single else (15, 17)
    text = f"{value:.{few}g}"
    read_back = struct.unpack("f", struct.pack("f", float(text)))[0] if single else float(text)
    return text if read_back == value else f"{value:.{many}g}"


def _string(text: str) -> str:
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return f"\\u{ord(character):04x}" if character.isascii() else json.dumps(character)[1:-1]
