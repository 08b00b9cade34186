"""Serves gRPC's interoperability service until its standard input ends.

usage: python interop_server.py FRAME_BYTES [KEY CERTIFICATE]

Prints its port. With a key and a certificate, files in PEM, it speaks TLS. A process of its own,
since TLS needs one without TensorFlow's Python package (csrc/transport/net/tls_context.cc).
"""

import sys
from pathlib import Path

from interop_service import SERVICE, TestServicer

from fastserve import _native
from fastserve.rpc import RpcServer
from fastserve.services.mount import generic_handler


def main(frame_bytes: str, *tls: str) -> None:
    options = _native.ServerOptions()
    options.grpc_addresses = ["127.0.0.1:0"]
    options.io_threads = 2
    options.max_frame_bytes = int(frame_bytes)
    native = _native.Server(options)
    rpc_server = RpcServer(native)
    rpc_server.add_generic_rpc_handlers([generic_handler(SERVICE, TestServicer())])
    if tls:
        key, certificate = (Path(file).read_text() for file in tls)
        native.set_tls(
            server_key=key, server_cert=certificate, client_roots="", verify_clients=False
        )
    rpc_server.start()
    print(*native.start(), flush=True)
    sys.stdin.read()
    native.shutdown(0)
    rpc_server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
