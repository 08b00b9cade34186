"""Recorded cases that are not answered as recorded, and why; docs/compatibility.md tells users."""

#: Case id -> why our answer is another one, on purpose.
KNOWN_DEVIATIONS: dict[str, str] = {
    "rest/http/chunked-trailer": "a trailer is read and dropped, as HTTP has it, not refused (413)",
    "rest/http/lf-only": "a line must end with CR LF: a lone LF invites request smuggling (400)",
    "rest/strings/b64-url-safe": "the URL-safe alphabet of base64 is taken too",
    "rest/http/header-folded": "a folded header is refused, as RFC 9112 asks for (400)",
    "rest/monitoring/metrics": "fastserve's own metrics are there (--enable_metrics)",
    "grpc/malformed/health": "health is served without --enable_grpc_healthcheck_service too",
}

#: Case id -> texts that the same request gets from TensorFlow itself on other machines.
ALSO_RIGHT: dict[str, tuple[str, ...]] = {
    # oneDNN's MatMul, which TensorFlow takes on CPUs with instructions for neural networks.
    "grpc/predict-shapes/mnist-flat": ("In[0] ndims must be >= 2\n\t [[{{node scores}}]]",),
}
