"""What an ONNX file may hold: a graph of ONNX's own operators with finite weights of its own, and nothing else.

A graph may point to other files, and to libraries that bring operators. The edge has no package that reads ONNX files:
so this looks at their protobuf fields by number. What they mean: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

OWN_DOMAINS: Final = frozenset({b"", b"ai.onnx"})
"""Of operators. Everything else is a library's or a maker's own."""
DEEPEST: Final = 8
"""Graphs within graphs."""

_INSIDE: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Messages that are looked into: by field number, what stands there."""
_OPSET_IMPORT, _FUNCTIONS = 8, 25  # of a model
_OPSET_DOMAIN, _NODE_DOMAIN = 1, 7
_DATA_TYPE, _FLOATS, _RAW, _DOUBLES, _EXTERNAL, _LOCATION = 2, 4, 9, 10, 13, 14  # of a tensor
_FLOAT_TYPES: Final = {1: "<f4", 10: "<f2", 11: "<f8"}


class GraphRefused(ValueError):
    """A file that is not taken; the message says what it holds."""


def check(content: bytes) -> None:
    """Refuse an ONNX file that reaches out, or whose weights are not numbers.

    raises  GraphRefused
    """
    try:
        _look("model", content, 0)
    except DecodeError:
        raise GraphRefused("it is not an ONNX file") from None


def _look(kind: str, content: bytes, depth: int) -> None:
    if depth > DEEPEST:
        raise GraphRefused(f"its graphs are nested more than {DEEPEST} deep")
    fields = list(_fields(content))
    if kind == "model":
        if any(number == _FUNCTIONS for number, _ in fields):
            raise GraphRefused("it defines operators of its own")
        for number, value in fields:
            if number == _OPSET_IMPORT:
                if not isinstance(value, bytes):
                    raise GraphRefused("it is not an ONNX file")
                _check_domain(value, _OPSET_DOMAIN)
    elif kind == "node":
        _check_domain(content, _NODE_DOMAIN)
    elif kind == "tensor":
        _check_tensor(fields)
    for number, value in fields:
        inside = _INSIDE[kind].get(number)
        if inside is not None and isinstance(value, bytes):
            _look(inside, value, depth + (inside == "graph"))


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a message's fields: bytes, or int."""
    found = UnknownFieldSet(Empty.FromString(content))
    for index in range(len(found)):
        yield found[index].field_number, found[index].data


def _check_domain(content: bytes, number: int) -> None:
    for found, value in _fields(content):
        if found == number and value not in OWN_DOMAINS:
            shown = ascii(bytes(value[:40]).decode("utf-8", "replace")) if isinstance(value, bytes) else value
            raise GraphRefused(f"it needs operators of {shown}, which are not ONNX's own")


def _check_tensor(fields: list[tuple[int, Any]]) -> None:
    said = dict(fields)
    if _EXTERNAL in said or said.get(_LOCATION):
        raise GraphRefused("it keeps weights in other files")
    kind = _FLOAT_TYPES.get(said.get(_DATA_TYPE, 0))
    stored = {} if kind is None else {_RAW: kind, _FLOATS: "<f4", _DOUBLES: "<f8"}
    for number, data in fields:
        if number not in stored or not isinstance(data, bytes) or len(data) % np.dtype(stored[number]).itemsize:
            continue  # no weights, or onnxruntime says what is wrong with them
        values = np.frombuffer(data, stored[number])
        # A single infinity is a constant: the SNRs of a noiseless and of an absent view are such.
        if np.isnan(values).any() or (values.size > 1 and np.isinf(values).any()):
            raise GraphRefused("it has weights that are not finite numbers")
