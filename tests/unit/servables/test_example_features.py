"""Features are found in a graph wherever the Examples are parsed."""

from typing import Any

import pytest
from google.protobuf import text_format

from fastserve import protos
from fastserve.servables.example_features import Feature, parsed_features

FLOAT, STRING, INT64 = (protos.DataType.Value(f"DT_{t}") for t in ("FLOAT", "STRING", "INT64"))

PARSER = """
name: "parse" op: "ParseExampleV2"
input: "{source}" input: "names" input: "sparse" input: "dense" input: "ragged" input: "default"
attr {{ key: "sparse_types" value {{ list {{ type: [DT_INT64] }} }} }}
attr {{ key: "ragged_value_types" value {{ list {{ type: [DT_STRING] }} }} }}
attr {{ key: "Tdense" value {{ list {{ type: [DT_FLOAT, DT_STRING] }} }} }}
attr {{ key: "dense_shapes" value {{ list {{
  shape {{ dim {{ size: 2 }} dim {{ size: 3 }} }}
  shape {{ dim {{ size: -1 }} dim {{ size: 2 }} }}
}} }} }}
"""
CONSTANT = """
name: "{0}" op: "Const" attr {{ key: "value" value {{ tensor {{ dtype: DT_STRING {1} }} }} }}
"""
FEATURES = [
    Feature("d1", FLOAT, 6),
    Feature("d2", STRING, 2),
    Feature("s", INT64, None),
    Feature("r", STRING, None),
]


def nodes(source: str, *, dense: str = "Const") -> list[Any]:
    """A parser of `source` and its keys; `dense` is the kind of node that gives two of them."""
    texts = [
        PARSER.format(source=source),
        CONSTANT.format("sparse", 'string_val: "s"'),
        CONSTANT.format("dense", 'string_val: "d1" string_val: "d2"').replace("Const", dense),
        CONSTANT.format("ragged", 'string_val: "r"'),
    ]
    return [text_format.Parse(text, protos.NodeDef()) for text in texts]


def node(name: str, op: str, source: str) -> Any:
    return protos.NodeDef(name=name, op=op, input=[source, "^control"])


def test_every_kind_of_feature_is_found_behind_identities() -> None:
    graph = protos.GraphDef(node=[node("copy", "Identity", "in"), *nodes("copy:0")])
    assert parsed_features(graph, "in:0") == FEATURES
    assert parsed_features(graph, "other:0") == []


def test_functions_are_followed_also_where_they_call_themselves() -> None:
    call = node("call", "StatefulPartitionedCall", "in")
    call.attr["f"].func.name = "outer"
    graph = protos.GraphDef(node=[call])
    inner = protos.FunctionDef(node_def=[*nodes("arg"), node("again", "inner", "arg")])
    outer = protos.FunctionDef(node_def=[node("call", "inner", "text")])
    for function, name, argument in ((inner, "inner", "arg"), (outer, "outer", "text")):
        function.signature.name = name
        function.signature.input_arg.add(name=argument)
    graph.library.function.extend([inner, outer])
    assert parsed_features(graph, "in:0") == FEATURES


@pytest.mark.parametrize("source", ["names", "dense"])
def test_tensor_that_is_not_the_one_parsed_has_no_features(source: str) -> None:
    assert parsed_features(protos.GraphDef(node=nodes("in")), source) == []


def test_keys_that_are_computed_are_left_out() -> None:
    graph = protos.GraphDef(node=nodes("in", dense="StringUpper"))
    assert parsed_features(graph, "in") == FEATURES[2:]
