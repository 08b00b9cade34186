"""How a ServingError ends an RPC."""

from typing import NoReturn

import grpc

from fastserve.errors import ServingError

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def abort(context: grpc.ServicerContext, error: ServingError) -> NoReturn:
    """Ends the RPC with the error's code and message."""
    context.abort(_CODES[error.code], error.message)
