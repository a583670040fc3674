"""Decoders of a few nodes with batches for them, and what a faster decoder costs."""

import functools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from center.decode.engines import Batch, Engine, OnnxEngine
from deploy.bench.engine import psnr_on_clip
from wire.codec import HASH_KEY, ROLE_KEY
from wire.geometry import DEFAULT_SIZE, PictureSize

MOST_LOST = 0.05
"""dB of PSNR that a faster engine may cost on average."""

SIZES = (PictureSize(128, 272), PictureSize(144, 320), PictureSize(256, 512))

B = "batch"
Shape = list[str | int | None]
FLAT: dict[str, Shape] = {"symbols": [B, 2, 5120, 2], "reliability": [B, 2, 5120], "snr_db": [B, 2]}
GRID: dict[str, Shape] = {"symbols": [B, 2, 10, "H", "W", 2], "reliability": [B, 2, 10, "H", "W"], "snr_db": [B, 2]}


def write_decoder(
    folder: Path, *, role: str = "decoder", rename: str = "snr_db", rows: int = 8, flat: bool = False
) -> str:
    """A decoder whose picture is the mean of I of the view's symbols, everywhere.

    rows  of a picture for each row of the latent, which should be 8
    flat  takes what a decoder of version 0.1 does, and knows one size
    """
    inputs = [
        helper.make_tensor_value_info(rename if name == "snr_db" else name, TensorProto.FLOAT, shape)
        for name, shape in (FLAT if flat else GRID).items()
    ]
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("end", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("axes", TensorProto.INT64, [2 if flat else 4], [2, 3] if flat else [2, 3, 4, 5]),
        helper.make_tensor("last", TensorProto.INT64, [3], [2, 3, 4]),
        helper.make_tensor("scale", TensorProto.INT64, [2], [rows, 8]),
        helper.make_tensor("lead", TensorProto.INT64, [3], [1, 1, 3]),
        helper.make_tensor("one_size", TensorProto.INT64, [2], [16, 32]),
    ]
    nodes = [
        helper.make_node("Slice", ["symbols", "start", "end", "axis"], ["in_phase"]),
        helper.make_node("ReduceMean", ["in_phase", "axes"], ["mean"], keepdims=0),
        helper.make_node("Identity", ["one_size"], ["latent"])
        if flat
        else helper.make_node("Shape", ["symbols"], ["latent"], start=3, end=5),
        helper.make_node("Mul", ["latent", "scale"], ["size"]),
        helper.make_node("Concat", ["lead", "size"], ["shape"], axis=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["grey"]),
        helper.make_node("Expand", ["grey", "shape"], ["pictures"]),
    ]
    output = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [B, 2, 3, "rows", "columns"])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    helper.set_model_props(model, {HASH_KEY: "00c0ffee00c0ffee", ROLE_KEY: role})
    onnx.save(model, str(folder / "decoder.onnx"))
    return str(folder)


def batch_of(count: int, size: PictureSize = DEFAULT_SIZE) -> Batch:
    batch = Batch.absent(count, size)
    for i in range(count):
        batch.symbols[i, 0, :, 0] = 0.1 * (i + 1)
        batch.snr_db[i, 0] = np.inf
    return batch


@functools.cache
def exact_psnr(snr_db: float) -> float:
    """Of onnxruntime in 32-bit numbers."""
    return psnr_on_clip(OnnxEngine("small-joint", 2), snr_db)


def decibels_lost(engine: Engine, snr_db: float) -> float:
    """PSNR that an engine loses against onnxruntime in 32-bit numbers, on pictures that it was not made with."""
    return exact_psnr(snr_db) - psnr_on_clip(engine, snr_db)
