"""fastserve: a TensorFlow model server with a native data plane."""
