"""Which features a model reads from the tf.Examples that it is given, as its graph tells."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_CALL_ATTRIBUTE = "f"
_PASSING = ("Identity", "PlaceholderWithDefault")
_V1, _V2 = "ParseExample", "ParseExampleV2"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of an Example."""

    name: str
    dtype: int
    """A DataType: DT_FLOAT, DT_INT64 or DT_STRING."""
    size: int | None
    """How many values it must have; None: any number."""


class _Scope:
    """A graph, or the body of a function: who consumes what."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self.consumers: dict[str, list[tuple[Any, int]]] = defaultdict(list)
        """Name of a node or argument -> its consumers, and as which input they take it."""
        for node in self._nodes.values():
            for index, reference in enumerate(node.input):
                if not reference.startswith("^"):
                    self.consumers[_node_name(reference)].append((node, index))

    def constant_strings(self, references: Iterable[str]) -> list[str]:
        """Returns the values of constants; none when one of them is no constant."""
        strings: list[str] = []
        for reference in references:
            node = self._nodes.get(_node_name(reference))
            if node is None or node.op != "Const":
                return []
            strings += (
                value.decode(errors="replace") for value in node.attr["value"].tensor.string_val
            )
        return strings


def parsed_features(graph: Any, tensor_name: str) -> Sequence[Feature]:
    """Returns the features that are parsed from a tensor of serialized Examples.

    `graph` is a GraphDef, whose functions are followed. Empty when no ParseExample reads the tensor
    in a way that can be told, through calls, or through branches and loops.
    """
    features: dict[str, Feature] = {}
    for scope, node in _parsers(graph, _node_name(tensor_name)):
        for feature in _features_of(scope, node):
            features.setdefault(feature.name, feature)
    return list(features.values())


def _parsers(graph: Any, source: str) -> Iterator[tuple[_Scope, Any]]:
    """Yields the nodes that parse what a node of the graph gives."""
    functions = {function.signature.name: function for function in graph.library.function}
    scopes = {"": _Scope(graph.node)}
    pending = [("", source)]
    seen = set(pending)
    while pending:
        scope_name, name = pending.pop()
        scope = scopes[scope_name]
        for node, index in scope.consumers[name]:
            called = _called(node)
            if node.op in (_V1, _V2) and index == 0:
                yield scope, node
                continue
            if node.op in _PASSING:
                place = (scope_name, node.name)
            elif called in functions:
                function = functions[called]
                if called not in scopes:
                    scopes[called] = _Scope(function.node_def)
                place = (called, function.signature.input_arg[index].name)
            else:
                continue
            if place not in seen:
                seen.add(place)
                pending.append(place)


def _called(node: Any) -> str:
    """Returns the name of the function that a node calls, if it calls one."""
    return str(node.attr[_CALL_ATTRIBUTE].func.name if _CALL_ATTRIBUTE in node.attr else node.op)


def _features_of(scope: _Scope, node: Any) -> Iterator[Feature]:
    """Yields what one node parses. Inputs and attributes: core/ops/parsing_ops.cc."""
    attributes = node.attr
    inputs = list(node.input[2:])  # Behind `serialized` and `names`.
    sparse_end, dense_end, ragged_end = 1, 2, 3
    if node.op == _V1:  # Each key is an input of its own.
        sparse_end = attributes["Nsparse"].i
        dense_end = ragged_end = sparse_end + attributes["Ndense"].i
    dense = scope.constant_strings(inputs[sparse_end:dense_end])
    kinds = zip(attributes["Tdense"].list.type, attributes["dense_shapes"].list.shape, strict=True)
    for name, (dtype, shape) in zip(dense, kinds, strict=bool(dense)):
        # An unknown first dimension stands for any number of the rest.
        yield Feature(name, dtype, math.prod(abs(dim.size) for dim in shape.dim))
    sparse = scope.constant_strings(inputs[:sparse_end])
    ragged = scope.constant_strings(inputs[dense_end:ragged_end])
    for names, types in ((sparse, "sparse_types"), (ragged, "ragged_value_types")):
        for name, dtype in zip(names, attributes[types].list.type, strict=bool(names)):
            yield Feature(name, dtype, None)


def _node_name(reference: str) -> str:
    return reference.partition(":")[0]
