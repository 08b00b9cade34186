"""Which headers ask for JSON and for gzip."""

import pytest

from fastserve.gateway.accept import admits_gzip, admits_json, prefers_json


@pytest.mark.parametrize(
    "accept",
    [
        b"*/*",
        b"application/json",
        b"application/*",
        b"Application/JSON; charset=utf-8",
        b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        b"application/json;q=0.001",
        b"*/*;q=0, application/json",
        b",text/plain\t, application/json;Q=1.000",
    ],
)
def test_header_with_a_range_around_json_asks_for_it(accept: bytes) -> None:
    assert admits_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        b"",
        b"text/html",
        b"text/*",
        b"application/jsonp",
        b"application/json;q=0",
        b"application/json;q=0.000, */*",
        b"*/*;q=0",
        b"application/*;q=0, */*;q=0.5",
        b"application/json;q=high",
        b"application/json;q=1.5",
        b"*",
    ],
)
def test_header_without_one_or_with_a_quality_of_zero_does_not(accept: bytes) -> None:
    assert not admits_json(accept)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (b"", False),
        (b"*/*", False),
        (b"application/*", False),
        (b"application/x-npy, application/json", False),
        (b"application/x-npy;q=0.5, application/json", True),
        (b"application/json", True),
        (b"application/json;q=0.9, */*;q=0.8", True),
        (b"text/html", False),
    ],
)
def test_json_is_preferred_where_it_ranks_higher(accept: bytes, expected: bool) -> None:
    assert prefers_json(accept, b"application/x-npy") is expected


@pytest.mark.parametrize("header", [b"gzip", b"br, GZIP;q=0.1", b"*", b",deflate , gzip"])
def test_gzip_is_admitted_by_name_or_with_all(header: bytes) -> None:
    assert admits_gzip(header)


@pytest.mark.parametrize(
    "header", [b"", b"br", b"gzip;q=0", b"*, gzip;q=0.0", b"identity", b"x-gzip", b"gzip;q=none"]
)
def test_gzip_is_not_admitted_where_it_is_missing_or_ruled_out(header: bytes) -> None:
    assert not admits_gzip(header)
