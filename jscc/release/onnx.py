"""Encoder and decoder as ONNX files, and their manifest: `python -m jscc.export --weights FILE --out DIR`.

encoder.onnx  picture [B, 3, H, W] in [0, 1], snr_db [B], dB
              -> symbols [B, K, 2] = (I, Q), K = 10 H/8 W/8
decoder.onnx  symbols [B, 2, 10, H/8, W/8, 2], reliability [B, 2, 10, H/8, W/8], snr_db [B, 2], dB
              -> pictures [B, 2, 3, H, W] in [0, 1]

The decoder takes symbols in the order in which they were sent; their shape only tells the size of the picture.
All float32 and real-valued; B is free, and so are H and W, multiples of 16; +inf and -inf are legal SNRs. Weights are
stored in float16 behind Cast nodes, which onnxruntime folds when it loads the file. Both files carry
`vergence.codec_hash`, `.config`, `.role` and `.preset`.
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from jscc.model.checkpoint import canonical, fill, load_weights, read_about, resolve
from jscc.model.codec import JointCodec
from wire import codec, codec_manifest, geometry
from wire.runtime.errors import UserError

OPSET: Final = 18
BATCH: Final = torch.export.Dim("batch")
ROWS: Final = torch.export.Dim("rows_by_16", min=4, max=64)
COLUMNS: Final = torch.export.Dim("columns_by_16", min=4, max=128)
"""In steps of 16 pixels. The limits are the exporter's, not the graph's: it may decide by them what holds for all."""


class EncoderGraph(nn.Module):
    """The encoder with its names for ONNX."""

    def __init__(self, model: JointCodec) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, picture: Tensor, snr_db: Tensor) -> Tensor:
        symbols: Tensor = self.encoder(picture, snr_db)
        return symbols


class DecoderGraph(nn.Module):
    """The decoder for left and right, clamped to [0, 1]."""

    def __init__(self, model: JointCodec) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, symbols: Tensor, reliability: Tensor, snr_db: Tensor) -> Tensor:
        rows, columns = symbols.shape[3:5]
        size = rows * geometry.DOWNSCALING, columns * geometry.DOWNSCALING
        pictures: Tensor = self.decoder(symbols.flatten(2, 4), reliability.flatten(2), snr_db, size)
        return pictures.clamp(0.0, 1.0)


def export(weights: Path, out: Path) -> tuple[Path, Path]:
    """Write encoder.onnx, decoder.onnx and SHA256SUMS. A decoder in 8-bit integers stays if it is of the same decoder.

    weights  a safetensors file
    out      folder to write to; it is made
    returns  paths of encoder and decoder
    raises   what `load_weights` does, so that no weight is NaN or infinite; OSError
    """
    config, tensors, codec_hash = load_weights(weights)
    model = JointCodec(config)
    fill(model, tensors)
    model.eval().requires_grad_(False)
    out.mkdir(parents=True, exist_ok=True)
    described = {
        codec.HASH_KEY: codec_hash,
        codec.CONFIG_KEY: canonical(config),
        codec.PRESET_KEY: str(read_about(weights).get("preset", "")),
    }
    batch = 3  # the size of the example; 1 and 2 would be taken for constants
    picture = torch.rand(batch, geometry.CHANNELS, geometry.HEIGHT, geometry.WIDTH)
    grid = batch, 2, geometry.LATENT_CHANNELS // 2, *geometry.DEFAULT_SIZE.latent
    encoder = trace(
        EncoderGraph(model),
        {"picture": picture, "snr_db": torch.rand(batch)},
        ({0: BATCH, 2: geometry.STEP * ROWS, 3: geometry.STEP * COLUMNS}, {0: BATCH}),
        ("symbols", {0: "batch", 1: "symbols"}),
    )
    steps = geometry.STEP // geometry.DOWNSCALING
    latent = {0: BATCH, 3: steps * ROWS, 4: steps * COLUMNS}
    decoder = trace(
        DecoderGraph(model),
        {"symbols": torch.randn(*grid, 2), "reliability": torch.rand(grid), "snr_db": torch.rand(batch, 2)},
        (latent, latent, {0: BATCH}),
        ("pictures", {0: "batch", 3: "rows", 4: "columns"}),
    )
    graphs: dict[codec.Role, onnx.ModelProto] = {"encoder": encoder, "decoder": decoder}
    for role, graph in graphs.items():
        halve(graph)
        helper.set_model_props(graph, {**described, codec.ROLE_KEY: role})
        onnx.checker.check_model(graph)
        onnx.save_model(graph, str(out / codec.ONNX_FILES[role]))
    with int8_settled(out, out / codec.ONNX_FILES["decoder"]):
        codec_manifest.write(out, weights)
    return out / codec.ONNX_FILES["encoder"], out / codec.ONNX_FILES["decoder"]


@contextlib.contextmanager
def int8_settled(folder: Path, decoder: Path) -> Iterator[None]:
    """Around the writing of a folder's manifest: its decoder in 8-bit integers stays listed, or goes with a line.

    A manifest without it would have onnxruntime-i8 refuse the file.

    decoder  the decoder.onnx that the folder has from now on, there or elsewhere
    """
    coarse = folder / codec.INT8_FILE
    stays = coarse.exists() and _made_of(coarse, decoder)
    if coarse.exists() and not stays:
        coarse.unlink()
        print(
            f"{coarse} is removed: it was made of another decoder;"
            f" python -m jscc.release.int8 --codec {folder} --pairs VALIDATION makes it anew",
            flush=True,
        )
    yield
    if stays:
        codec_manifest.add_int8(folder)


def _made_of(coarse: Path, decoder: Path) -> bool:
    """Whether the manifest beside a decoder in 8-bit integers lists it, and this very decoder."""
    try:
        listed = codec_manifest.read(coarse.parent)
        if listed is None:
            return False
        for path in (coarse, decoder):
            listed.check(path, path.read_bytes())
    except UserError:
        return False
    return True


def trace(
    module: nn.Module,
    inputs: dict[str, Tensor],
    free: Sequence[dict[int, Any]],
    output: tuple[str, dict[int, str]],
) -> onnx.ModelProto:
    """A module as an ONNX graph.

    inputs  an example of each, by name
    free    of each the dimensions that are free
    output  its name, and what its free dimensions are called
    """
    from torch._dynamo import config as dynamo  # here, because it sets an environment variable

    # Without its cache of shapes the exporter takes 65 instead of 89 s for a tiny codec, as sizes are symbols. It names
    # values otherwise, so this belongs to the hash of a codec.
    with quiet(), dynamo.patch(fake_tensor_cache_enabled=False):
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=[output[0]],
            dynamic_shapes=tuple(free),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    for node in graph.graph.node:  # traces of our source files, which nobody can read there
        del node.metadata_props[:]
        node.doc_string = ""
    # Sets, in their order of the day: the same weights would get another hash each time.
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]  # whoever loads the graph infers shapes anew; these hold names that mean nothing
    named = zip((*graph.graph.input, *graph.graph.output), (*free, output[1]), strict=True)
    for value, names in named:
        del value.metadata_props[:]
        for place, name in names.items():
            value.type.tensor_type.shape.dim[place].dim_param = name if isinstance(name, str) else name.__name__
    return graph


def halve(model: onnx.ModelProto) -> None:
    """Store every float32 initializer that float16 holds exactly in float16, and cast it back in the graph."""
    graph = model.graph
    casts: list[onnx.NodeProto] = []
    for initializer in graph.initializer:
        if initializer.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < 64 or not np.array_equal(half.astype(np.float32), values):
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}_f16"))
        casts.append(helper.make_node("Cast", [f"{name}_f16"], [name], name=f"{name}_cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter, which prints, warns and logs; none of it concerns our user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m jscc.export", description="Weights -> encoder.onnx and decoder.onnx"
    )
    parser.add_argument("--weights", required=True, help="a shipped name, a folder, or a model.safetensors file")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    try:
        written = export(resolve(args.weights), args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    for path in written:
        size = path.stat().st_size / 1e6
        print(json.dumps({"file": str(path), "megabytes": round(size, 2), "codec_hash": codec.verified(path)[1]}))


if __name__ == "__main__":
    main()
