"""Which Accept headers ask for JSON."""

import pytest

from fastserve.gateway.accept import admits_json


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
