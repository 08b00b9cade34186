"""Which URLs reach which call, after the examples of TensorFlow Serving's two patterns."""

import json

import pytest

from fastserve.gateway.replies import Reply
from fastserve.gateway.routes import Method, Route, find_route

PREDICT, STATUS, METADATA = Method.PREDICT, Method.STATUS, Method.METADATA
EXAMPLE = Method.EXAMPLE


def refusal(verb: str, target: str, origin: str = "") -> Reply:
    found = find_route(verb, target, origin)
    assert isinstance(found, Reply)
    return found


def error_text(reply: Reply) -> str:
    text = json.loads(reply.body)["error"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("m:predict", Route(PREDICT, "m")),
        ("m/versions/3:predict", Route(PREDICT, "m", 3)),
        ("m/labels/stable:predict", Route(PREDICT, "m", label="stable")),
        ("m/versions/007:predict", Route(PREDICT, "m", 7)),
        ("m/versions/000:predict", Route(PREDICT, "m", 0)),
        (f"m/versions/{2**63 - 1}:predict", Route(PREDICT, "m", 2**63 - 1)),
        (f"m/versions/000000{2**63 - 1}:predict", Route(PREDICT, "m", 2**63 - 1)),
        ("m:classify", Route(Method.CLASSIFY, "m")),
        ("m:regress", Route(Method.REGRESS, "m")),
    ],
)
def test_post_reaches_the_method_its_path_ends_with(target: str, route: Route) -> None:
    assert find_route("POST", f"/v1/models/{target}") == route


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("m", Route(STATUS, "m")),
        ("m/versions/3", Route(STATUS, "m", 3)),
        ("m/labels/stable", Route(STATUS, "m", label="stable")),
        ("m/metadata", Route(METADATA, "m")),
        ("m/versions/3/metadata", Route(METADATA, "m", 3)),
        ("m/labels/stable/metadata", Route(METADATA, "m", label="stable")),
        ("metadata", Route(STATUS, "metadata")),
        ("m/METADATA", Route(STATUS, "m")),
        ("m?x=1", Route(STATUS, "m?x=1")),
    ],
)
def test_get_reaches_status_or_metadata(target: str, route: Route) -> None:
    assert find_route("GET", f"/v1/models/{target}") == route


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("m/example", Route(EXAMPLE, "m")),
        ("m/versions/3/example", Route(EXAMPLE, "m", 3)),
        ("m/labels/stable/example", Route(EXAMPLE, "m", label="stable")),
        ("m/example/a%2Fb:c", Route(EXAMPLE, "m", signature="a/b:c")),
        ("m/versions/3/Example/s", Route(EXAMPLE, "m", 3, signature="s")),
        ("example", Route(STATUS, "example")),
    ],
)
def test_get_reaches_the_example_of_a_signature(target: str, route: Route) -> None:
    assert find_route("GET", f"/v1/models/{target}") == route


def test_get_of_all_models_asks_for_the_list() -> None:
    assert find_route("GET", "/v1/models") == Route(Method.LIST)


@pytest.mark.parametrize("target", ["/v1/models/versions/1", "/v1/models/labels/l"])
def test_get_without_a_model_says_that_the_name_is_missing(target: str) -> None:
    reply = refusal("GET", target)
    assert (reply.status, error_text(reply)) == (400, "Missing model name in request.")


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        *(
            ("GET", "/v1/models/" + rest)
            for rest in ("", "m/", "m:predict", "a/b", "m/example/", "m/example/s/t")
        ),
        ("GET", "/v1/foo"),
        *(
            ("POST", "/v1/models/m" + rest)
            for rest in (
                *("", ":predict?x=1", ":predict/", ":PREDICT", ":Predict", ":explain", "/metadata"),
                *("/versions/x:predict", "/versions/-1:predict", "/versions/:predict"),
                "/versions/1/labels/l:predict",
            )
        ),
        *((verb, "/v1/models/m") for verb in ("PUT", "DELETE", "PATCH")),
    ],
)
def test_any_other_call_of_the_api_is_malformed(verb: str, target: str) -> None:
    reply = refusal(verb, target)
    assert reply.status == 400
    assert reply.content_type == b"application/json"
    assert error_text(reply) == f"Malformed request: {verb} {target}"
    assert not reply.close


def test_fixed_words_of_a_path_may_have_any_case() -> None:
    assert find_route("GET", "/V1/Models/M/VERSIONS/3") == Route(STATUS, "M", 3)
    assert find_route("POST", "/v1/MODELS/M/Labels/L:predict") == Route(PREDICT, "M", label="L")


@pytest.mark.parametrize("version", [2**63, 10**30])
@pytest.mark.parametrize(
    ("verb", "rest"), [("POST", ":predict"), ("GET", ""), ("GET", "/metadata"), ("GET", "/example")]
)
def test_version_beyond_int64_is_refused_without_a_body(verb: str, rest: str, version: int) -> None:
    reply = refusal(verb, f"/v1/models/m/versions/{version}{rest}")
    assert reply == Reply(400, b"", b"application/json")


def test_version_of_thousands_of_digits_is_refused_and_not_converted() -> None:
    assert refusal("GET", f"/v1/models/m/versions/{'9' * 10_000}") == Reply(400)


def test_name_and_label_are_percent_decoded_after_the_match() -> None:
    route = find_route("POST", "/v1/models/a%2Fb%3Ac/labels/x+y%20z:predict")
    assert route == Route(PREDICT, "a/b:c", label="x+y z")
    assert route.is_text


def test_bytes_that_are_no_utf8_are_kept_and_marked() -> None:
    route = find_route("GET", "/v1/models/%ff%C3%A9")
    assert isinstance(route, Route)
    assert route.model.encode("utf-8", "surrogateescape") == b"\xff\xc3\xa9"
    assert not route.is_text


def test_whole_uri_is_routed_by_its_path() -> None:
    assert find_route("GET", "http://host:8501/v1/models/m") == Route(STATUS, "m")


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("target", ["/", "/v2/models/m", "/v1", "/v11/x", "*", "//v1/models"])
def test_paths_outside_the_api_are_not_found_in_html(verb: str, target: str) -> None:
    reply = refusal(verb, target)
    assert (reply.status, reply.content_type, reply.close) == (404, b"text/html", True)
    assert (reply.bare, reply.body == b"") == (verb == "HEAD", verb == "HEAD")


@pytest.mark.parametrize("target", ["/v1/models/a b", "/v1/models/%zz", "/v1/<m>", "v1/models/m"])
def test_target_that_is_no_uri_is_a_bad_request_in_html(target: str) -> None:
    reply = refusal("GET", target)
    assert (reply.status, reply.content_type, reply.close) == (400, b"text/html", True)


@pytest.mark.parametrize("verb", ["TRACE", "CONNECT", "BREW", "get"])
def test_verbs_that_are_not_known_are_not_implemented(verb: str) -> None:
    reply = refusal(verb, "/v1/models/m")
    assert (reply.status, reply.content_type, reply.close) == (501, b"text/html", True)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://a", 200), ("https://a.example:1", 200), ("", 400), ("null", 400), ("ftp://a", 400)],
)
def test_options_is_answered_by_the_origin_alone(origin: str, status: int) -> None:
    reply = refusal("OPTIONS", "/v1/any", origin)
    assert reply == Reply(status, b"", b"text/html; charset=ISO-8859-1")


def test_head_of_the_api_has_neither_body_nor_length() -> None:
    assert refusal("HEAD", "/v1/models/m") == Reply(400, b"", b"application/json", bare=True)
