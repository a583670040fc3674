"""The two views of a rig."""

from enum import StrEnum

from wire.runtime.errors import UserError
from wire.v1 import types_pb2


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
