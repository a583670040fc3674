"""`vergence-edge export`: weights to ONNX. The only place of the edge that meets torch, and only when asked to."""

from pathlib import Path

from wire import codec
from wire.runtime.errors import UserError, not_installed


def export(name: str, weights: Path | None, out: Path | None) -> Path:
    """Write encoder.onnx and decoder.onnx.

    name     of the configured codec: where to look and where to write unless told otherwise
    weights  a safetensors file; None is the configured codec's own
    out      folder to write to; None is the folder of the weights
    returns  the folder
    raises   UserError if torch or onnx is not installed, or the weights are missing or damaged
    """
    weights = weights or codec.folder(name) / codec.WEIGHTS_FILE
    if not weights.is_file():
        raise UserError(f"{weights} does not exist; give --weights a safetensors file, such as `make train` writes")
    out = out or weights.parent
    try:
        from jscc.release import onnx as onnx_export
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "train") from error
    try:
        onnx_export.export(weights, out)
    except (ValueError, OSError) as error:
        raise UserError(f"cannot export {weights}: {error}") from error
    return out
