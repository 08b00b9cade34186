"""JSON becomes the tensor that Python's json and numpy make of it, and that becomes JSON again."""

import base64
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, note
from hypothesis import strategies as st
from wire_forms import spoil

from support import rest
from support.server import StartServer

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
FLOATS = {"float": np.float32, "double": np.float64}
WITHOUT_JSON = (
    *("half", "bfloat16", "uint16", "complex64", "complex128", "float8_e5m2", "float8_e4m3fn"),
    *("qint8", "quint8", "qint16", "quint16", "qint32", "int4", "uint4"),
)
#: A double may be read this many units in the last place off: upstream's parser is quick.
READ_ULPS = 3


class Model:
    """`identity` over REST, on one connection; x -> y = x of any shape."""

    def __init__(self, connection: rest.Connection) -> None:
        self._connection = connection

    def post(self, body: str | bytes) -> rest.Answer:
        data = body if isinstance(body, bytes) else body.encode()
        self._connection.send(rest.request("POST", "/v1/models/identity:predict", data))
        answer = self._connection.answer()
        assert answer.status in (200, 400, 501), answer
        return answer

    def echo(self, signature: str, value: str, key: str = "inputs") -> rest.Answer:
        """The answer to the JSON text `value` as the tensor, or as the rows of it."""
        return self.post(f'{{"signature_name": "{signature}", "{key}": {value}}}')


@pytest.fixture(scope="module")
def model(start_server: StartServer, recorded_models: Path) -> Iterator[Model]:
    base = recorded_models / "identity"
    server = start_server("--model_name=identity", f"--model_base_path={base}")
    with rest.Connection(server.rest_port, seconds=600) as connection:
        yield Model(connection)


def in_shape(values: list[Any], shape: list[int]) -> Any:
    """`values` as nested lists."""
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    return [in_shape(values[i * step :], shape[1:]) for i in range(shape[0])]


@st.composite
def nested(draw: st.DrawFn, elements: st.SearchStrategy[Any], min_rank: int = 0) -> Any:
    """Elements in lists that form a tensor."""
    shape = draw(st.lists(st.integers(1, 3), min_size=min_rank, max_size=4))
    count = math.prod(shape)
    return in_shape(draw(st.lists(elements, min_size=count, max_size=count)), shape)


def flat(value: Any) -> list[Any]:
    """The elements, in order."""
    return [each for item in value for each in flat(item)] if isinstance(value, list) else [value]


def shape_of(value: Any) -> list[int]:
    """The extents along the first elements."""
    if not isinstance(value, list):
        return []
    return [len(value), *(shape_of(value[0]) if value else [])]


class Written(str):
    """A JSON token, as it is to stand in the text."""


def text_of(value: Any, random: Random) -> str:
    """JSON text of nested lists, with white space here and there."""
    space = random.choice(("", "", " ", "\n\t", " \r\n"))
    if isinstance(value, Written):
        return f"{space}{value}"
    if isinstance(value, list):
        return f"{space}[{','.join(text_of(item, random) for item in value)}{space}]"
    return space + json.dumps(value, ensure_ascii=random.random() < 0.5)


randoms = st.integers(0, 2**32 - 1).map(Random)


def limits(dtype: str) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_go_both_ways(dtype: str, model: Model) -> None:
    @given(value=nested(st.integers(*limits(dtype))), random=randoms)
    def check(value: Any, random: Random) -> None:
        answer = model.echo(dtype, text_of(value, random))
        assert answer.json() == {"outputs": value}

    check()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_beyond_the_type_are_cut_or_refused(dtype: str, model: Model) -> None:
    """Types narrower than int32 are read as int32, and keep the low bits."""
    read_as = "int32" if np.dtype(dtype).itemsize < 4 else dtype
    low, high = limits(read_as)

    @given(value=st.integers(-(2**65), 2**65) | st.integers(-(2**33), 2**33))
    def check(value: int) -> None:
        answer = model.echo(dtype, str(value))
        if low <= value <= high:
            cut = np.array(value, read_as).astype(dtype)
            assert answer.json() == {"outputs": int(cut)}
        else:
            assert answer.status == 400
            assert "is not of expected type" in answer.error

    check()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_only_integer_literals_are_integers(dtype: str, model: Model) -> None:
    for literal in ("1.0", "1e2", "-0.0", "NaN", '"1"', "true", "null", "{}", "1E0"):
        assert model.echo(dtype, literal).status == 400, literal


#: Ways in which a number of JSON may be spelt.
spellings = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-0", "-0.0", "1e-400"]),
).map(Written)


def written_as(value: np.floating) -> str:
    """The text of a number in an answer: %g where that reads back, else all the digits."""
    if not np.isfinite(value):
        return str(json.dumps(float(value)))
    digits = 9 if value.dtype == np.float32 else 17
    text = f"{value:g}" if value.dtype.type(f"{value:g}") == value else f"{value:.{digits}g}"
    return text if "." in text or "e" in text else f"{text}.0"


@pytest.mark.parametrize("signature", FLOATS)
def test_numbers_go_both_ways(signature: str, model: Model) -> None:
    dtype = FLOATS[signature]
    tiny = np.finfo(dtype).tiny

    @given(value=nested(spellings), random=randoms)
    @np.errstate(over="ignore", invalid="ignore")
    def check(value: Any, random: Random) -> None:
        text = text_of(value, random)
        note(text)
        answer = model.echo(signature, text)
        wanted = np.array(flat(json.loads(text)), np.float64).astype(dtype)
        wanted[abs(wanted) < tiny] *= 0  # denormal numbers are zeros
        outputs = json.loads(answer.body, parse_float=Written, parse_constant=Written)["outputs"]
        assert shape_of(outputs) == shape_of(value)
        spelt = flat(outputs)
        got = np.array(spelt, dtype)
        near = np.spacing(abs(wanted)) * (1 if dtype == np.float32 else READ_ULPS)
        both_nan = np.isnan(got) & np.isnan(wanted)
        assert (both_nan | (got == wanted) | (abs(got - wanted) <= near)).all()
        assert spelt == [written_as(each) for each in got]

    check()


@pytest.mark.parametrize("dtype", WITHOUT_JSON)
def test_dtypes_without_a_json_form_are_not_implemented(dtype: str, model: Model) -> None:
    @given(value=nested(st.integers() | st.floats(allow_nan=False), min_rank=1))
    def check(value: Any) -> None:
        answer = model.echo(dtype, json.dumps(value))
        assert answer.status == 501
        assert answer.error.startswith("Conversion of JSON Value: ")
        rows = model.echo(dtype, json.dumps(value), key="instances")
        assert rows.status == 400
        assert "Error: UNIMPLEMENTED: Conversion of JSON Value: " in rows.error

    check()


@given(value=nested(st.booleans()), random=randoms)
def test_booleans_go_both_ways(model: Model, value: Any, random: Random) -> None:
    assert model.echo("bool", text_of(value, random)).json() == {"outputs": value}


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@given(value=nested(texts), random=randoms)
def test_strings_go_both_ways(model: Model, value: Any, random: Random) -> None:
    assert model.echo("string", text_of(value, random)).json() == {"outputs": value}


@given(value=nested(st.binary(max_size=8)), random=randoms)
def test_base64_objects_are_their_bytes(model: Model, value: Any, random: Random) -> None:
    def wrapped(item: Any) -> Any:
        if isinstance(item, list):
            return [wrapped(each) for each in item]
        text = base64.b64encode(item).decode()
        text = random.choice((text, text.rstrip("="), f" {text}\n"))
        return Written(json.dumps({"b64": text}))

    answer = model.echo("string", text_of(wrapped(value), random))
    got = flat(json.loads(answer.body.decode("latin-1"))["outputs"])
    assert [text.encode("latin-1") for text in got] == flat(value)


@given(value=nested(st.integers(*limits("int64")), min_rank=1), random=randoms)
def test_rows_are_stacked(model: Model, value: Any, random: Random) -> None:
    def named(row: Any) -> Any:
        return Written(f'{{"x": {text_of(row, random)}}}')

    plain = model.echo("int64", text_of(value, random), key="instances")
    objects = model.echo("int64", text_of([named(row) for row in value], random), key="instances")
    assert plain.json() == objects.json() == {"predictions": value}


#: Lists that may be ragged, of too many kinds, or empty.
trees = st.recursive(
    st.integers(-5, 5) | st.sampled_from([1.5, True, None, "x", {}, {"b64": "eA=="}, {"x": 1}]),
    lambda children: st.lists(children, max_size=3),
    max_leaves=12,
)


def is_tensor(value: Any, shape: list[int]) -> bool:
    """Whether lists follow `shape` down to integers."""
    if not shape:
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, list) or len(value) != shape[0]:
        return False
    return all(is_tensor(item, shape[1:]) for item in value)


@given(value=trees)
def test_what_is_no_tensor_is_refused(model: Model, value: Any) -> None:
    named = isinstance(value, dict) and value.keys() == {"x"}
    tensor = value["x"] if named else value
    answer = model.echo("int32", json.dumps(value))
    if is_tensor(tensor, shape_of(tensor)):
        assert answer.json() == {"outputs": tensor}
    else:
        assert answer.status == 400
        assert answer.error


#: Documents that may be requests.
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(
            texts | st.sampled_from(["instances", "inputs", "signature_name", "x", "b64"]),
            children,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(document=documents)
def test_any_document_is_answered(model: Model, document: Any) -> None:
    answer = model.post(json.dumps(document))
    assert (answer.status == 200) == ("outputs" in answer.json() or "predictions" in answer.json())
    assert "JSON Parse error" not in answer.json().get("error", "")


#: What either parser takes for a number, or a string, and the other does not.
DISPUTED = re.compile(rb"Inf|NaN|\\u[dD][89a-fA-F]|[0-9]{300}|[eE]\+?[0-9]{3}|[\x80-\xff]")


@given(document=documents, random=randoms)
def test_spoilt_text_is_refused_just_where_python_refuses_it(
    model: Model, document: Any, random: Random
) -> None:
    body = spoil(json.dumps({"inputs": document}).encode(), random)
    assume(body and not DISPUTED.search(body))
    note(repr(body))
    try:
        json.JSONDecoder().raw_decode(body.decode().lstrip(" \t\r\n"))  # what follows is ignored
        is_json = True
    except ValueError:
        is_json = False
    answer = model.post(body)
    refused = answer.status == 400 and answer.error.startswith("JSON Parse error")
    assert refused != is_json
