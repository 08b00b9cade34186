"""The REST API: HTTP/1.1 on the event loop, predictions handed to the native side."""
