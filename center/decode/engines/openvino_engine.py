"""The exported decoder in OpenVINO: on the CPU, in bfloat16 where the CPU multiplies it.

Same file, same weights as onnxruntime's; `docs/performance.md` has the speed and the loss of PSNR.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import Batch
from center.decode.engines.onnx_engine import check_inputs
from wire import codec, codec_graph
from wire.runtime.errors import not_installed

_TELEMETRY: Final = "openvino_telemetry"


class OpenVinoEngine:
    """OpenVINO's CPU plugin, one request at a time on all its threads."""

    largest_batch = 1

    def __init__(self, name: str, threads: int) -> None:
        """
        name     codec: a folder, or the name of a shipped one
        threads  0 takes every core
        raises   UserError if OpenVINO is not installed, or the codec cannot be loaded or has other inputs than ours
        """
        path = codec.onnx_file(name, "decoder")
        content, codec_hash = codec.verified(path)
        core = load_openvino().Core()
        half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            # Threads that are bound to cores wait for them while other services of this machine run there.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            codec_graph.check(content)
            model = core.read_model(str(path))  # handed over as bytes, a model loses its unused inputs
            stated = codec.check_metadata(path, "decoder", _metadata(model))
            self.codec_hash = codec_hash or stated
            self._flat = check_inputs(name, {each.get_any_name(): len(each.partial_shape) for each in model.inputs})
            self._request = core.compile_model(model, "CPU", options).create_infer_request()
        except (RuntimeError, ValueError) as error:  # OpenVINO's first lines name places in its source
            raise codec.unreadable(path, str(error).strip().splitlines()[-1]) from error
        self.name = f"openvino on cpu ({'bfloat16' if half else 'float32'})"

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        found = self._request.infer(batch.feed(self._flat), share_inputs=True)
        pictures: NDArray[np.float32] = found[0]
        return pictures


def _metadata(model: Any) -> dict[str, str]:
    """What an ONNX file says of itself; OpenVINO keeps it under "framework"."""
    if not model.has_rt_info(["framework"]):
        return {}
    return {key: str(each.value) for key, each in model.get_rt_info()["framework"].items()}


def is_installed() -> bool:
    """Whether OpenVINO could be imported. Imports nothing."""
    return find_spec("openvino") is not None


def load_openvino() -> Any:
    """The module, which has called nobody. raises UserError if it is not installed"""
    try:
        with _without_telemetry():
            import openvino
    except ImportError as error:
        raise not_installed("openvino", "openvino") from error
    return openvino


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Let an import find no `openvino_telemetry`: importing openvino makes that report to its maker, and without it
    takes the stub that openvino brings for this case."""
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there
    try:
        yield
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
