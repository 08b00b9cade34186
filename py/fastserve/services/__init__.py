"""The rare RPCs, as ordinary grpcio servicers, and the same answers as REST's JSON."""
