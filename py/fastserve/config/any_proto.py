"""Messages of a type that the configuration itself names, in a google.protobuf.Any."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf import descriptor_pool, message

from fastserve import protos
from fastserve.errors import INTERNAL, ConfigError, ServingError


def unpack_any(config: Any, types: Collection[Any]) -> Any:
    """Returns the message in `config`, which must be of one of the classes `types`.

    Raises ServingError in the words of util/class_registration.h, where each type has a factory.
    """
    _, slash, name = config.type_url.rpartition("/")
    if not slash or not name:
        raise ConfigError(f"Supplied config's type_url could not be parsed: {config.type_url}")
    try:
        found = protos.message_class(descriptor_pool.Default().FindMessageTypeByName(name))
    except KeyError:
        raise ServingError(
            INTERNAL, f"Unable to find compiled-in proto descriptor of type {name}"
        ) from None
    try:
        unpacked = found.FromString(config.value)
    except message.DecodeError:
        raise ConfigError(f"Malformed content of Any: {config}") from None
    if found not in types:
        raise ConfigError(
            f"Couldn't find factory for config proto message type {name}\nconfig={unpacked}"
        )
    return unpacked
