"""The two views of a rig, and what a rig may be called."""

from enum import StrEnum
from typing import Final

from wire.runtime.errors import UserError
from wire.v1 import types_pb2

RIG_NAME: Final = "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
"""A regular expression. The name stands in labels, addresses and lines of logs."""


class View(StrEnum):
    """One side of a rig; the position is its place in every array that holds both."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def other(self) -> "View":
        return View.RIGHT if self is View.LEFT else View.LEFT

    @property
    def position(self) -> int:
        return 0 if self is View.LEFT else 1

    def to_proto(self) -> "types_pb2.View.ValueType":
        return types_pb2.VIEW_LEFT if self is View.LEFT else types_pb2.VIEW_RIGHT

    @staticmethod
    def from_proto(value: int) -> "View":
        """raises UserError if `value` is neither side."""
        if value == types_pb2.VIEW_LEFT:
            return View.LEFT
        if value == types_pb2.VIEW_RIGHT:
            return View.RIGHT
        raise UserError(f"view {value} is unknown; set VIEW_LEFT or VIEW_RIGHT")
