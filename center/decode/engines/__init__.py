"""What decodes: one small interface, and the engines behind it."""

from center.decode.engines.base import Batch, BatchLost, Device, Engine, Kind
from center.decode.engines.choice import load, warm_up
from center.decode.engines.onnx_engine import OnnxEngine
from center.decode.engines.openvino_engine import OpenVinoEngine
from center.decode.engines.ray_engine import RayEngine
from center.decode.engines.torch_engine import TorchEngine

__all__ = [
    "Batch",
    "BatchLost",
    "Device",
    "Engine",
    "Kind",
    "OnnxEngine",
    "OpenVinoEngine",
    "RayEngine",
    "TorchEngine",
    "load",
    "warm_up",
]
