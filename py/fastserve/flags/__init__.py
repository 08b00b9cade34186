"""The flags: TensorFlow Serving's, and those of fastserve's own."""
