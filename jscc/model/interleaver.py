"""The order in which the symbols of a picture are sent: what is near in the picture lies far apart on the air.

A fade of many symbols then takes a little everywhere, which the decoder mends, and no whole region. The order of a
picture is a chain of three shears of the grid (channel, row, column), each of which is undone by another of its kind;
its steps are golden sections of rows and columns, so that a fade of a twentieth of a picture takes at most 1.7
times as much of any 4x4 cells, at every size. Single symbols may meet sooner: of a picture of 352x256 three of four lie
near the one five places before. Every number on the way stays below 2^24, because some engines compute integers in
float32.
"""

from typing import Final, Literal, get_args

import torch
from torch import Tensor

Interleaver = Literal["none", "golden"]
INTERLEAVERS: Final = get_args(Interleaver)

_BY_COLUMN, _BY_ROW = 3, 7
"""Channels that a step by one column and by one row adds; without divisors of 10, the number of channels."""


def golden_section(length: int) -> int:
    """The odd number next to 0.618 lengths, as integers that an exported graph can follow; at least 1."""
    return 2 * (length * 89 // 288) + 1


def sent(channels: int, rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Which symbol of the encoder goes out when.

    channels, rows, columns  of the complex latent
    device                   of the result
    returns                  int64 [K], K = channels rows columns: at each place on the air the row-major number of
                             the symbol that is sent there
    """
    channel, row, column = _grid(channels, rows, columns, device)
    channel = (channel + _BY_COLUMN * column + _BY_ROW * row) % channels
    row = (row + golden_section(rows) * column) % _modulus(rows, device)
    column = (column + golden_section(columns) * row) % _modulus(columns, device)
    return _number(channel, row, column, rows, columns)


def arrived(channels: int, rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Where on the air each symbol of the encoder went: the inverse permutation of `sent`, of the same arguments."""
    channel, row, column = _grid(channels, rows, columns, device)
    # Differences as sums with what is missing to the modulus: engines disagree on remainders of negative numbers.
    column = (column + (columns - golden_section(columns)) * row) % _modulus(columns, device)
    row = (row + (rows - golden_section(rows)) * column) % _modulus(rows, device)
    channel = (channel + (channels - _BY_COLUMN) * column + (channels - _BY_ROW) * row) % channels
    return _number(channel, row, column, rows, columns)


def _modulus(length: int, device: torch.device | None) -> Tensor:
    """A length as a tensor, int64 []: torch's exporter knows no remainder by a number that is only known later."""
    return torch.full((), length, dtype=torch.int64, device=device)


def _grid(channels: int, rows: int, columns: int, device: torch.device | None) -> tuple[Tensor, Tensor, Tensor]:
    """Channel, row and column of every symbol, int64, of shapes that make [channels, rows, columns] together."""
    channel, row, column = (torch.arange(length, device=device) for length in (channels, rows, columns))
    return channel[:, None, None], row[None, :, None], column[None, None, :]


def _number(channel: Tensor, row: Tensor, column: Tensor, rows: int, columns: int) -> Tensor:
    """Row-major numbers of grid points, [K]."""
    return ((channel * rows + row) * columns + column).flatten()
