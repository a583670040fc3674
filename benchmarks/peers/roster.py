"""Who takes part: what each peer needs, how it is called, and which settings were tried for it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from benchmarks.peers.client import Base64Caller, Caller, GrpcCaller, HttpCaller, TritonCaller

ONNXRUNTIME: Final = f"onnxruntime=={version('onnxruntime')}"
"""Ours: another release may be faster or slower at the same decoder."""
SYSTEM_PYTHON: Final = "/usr/bin/python3.11"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a peer puts pairs together; see `servers.options.Options`."""

    batch: int = 1
    delay_ms: float = 0.0
    variant: str = ""

    def __str__(self) -> str:
        if self.batch == 1:
            return "no batching"
        return f"batch {self.batch}, {self.delay_ms:g} ms" + (f", {self.variant}" if self.variant else "")


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    name          of its environment and in results
    title         for people
    module        of `benchmarks.peers.servers`
    requirements  for pip
    connect       a caller, given the port
    settings      that are tried by --tune; the first one is the best that was found, and is used otherwise
    python        that its environment is made with
    """

    name: str
    title: str
    module: str
    requirements: tuple[str, ...]
    connect: Callable[[int], Caller]
    settings: tuple[Setting, ...]
    python: str = sys.executable


PEERS: Final = (
    Peer(
        name="grpc",
        title="grpc.aio, no batching",
        module="plain_grpc",
        requirements=("grpcio>=1.85.1,<2", ONNXRUNTIME),
        connect=GrpcCaller,
        settings=(Setting(),),
    ),
    Peer(
        name="triton",
        title="Triton (PyTriton)",
        module="triton",
        requirements=("nvidia-pytriton>=0.7,<1", ONNXRUNTIME),
        connect=lambda port: TritonCaller(port, "pairs"),
        settings=(Setting(4, 1.0), Setting(4, 3.0), Setting(4, 0.0), Setting(2, 1.0)),
        python=SYSTEM_PYTHON,  # its own libpython is linked to Debian's
    ),
    Peer(
        name="litserve",
        title="LitServe",
        module="lit_serve",
        requirements=("litserve>=0.2.19,<0.3", ONNXRUNTIME),
        connect=lambda port: HttpCaller(port, "/predict"),
        settings=(Setting(4, 1.0), Setting(4, 3.0), Setting(4, 1.0, "zmq"), Setting(2, 1.0), Setting()),
    ),
    Peer(
        name="ray",
        title="Ray Serve",
        module="ray_serve",
        requirements=("ray[serve]>=2.50,<3", ONNXRUNTIME),
        connect=lambda port: HttpCaller(port, "/"),
        settings=(Setting(4, 1.0), Setting(4, 3.0), Setting(4, 0.0), Setting(2, 1.0), Setting()),
    ),
    Peer(
        name="bentoml",
        title="BentoML",
        module="bento_ml",
        requirements=("bentoml>=1.4,<2", ONNXRUNTIME),
        connect=lambda port: Base64Caller(port, "/decode", "pairs"),
        settings=(Setting(4, 10_000.0), Setting(4, 2_000.0), Setting(2, 10_000.0)),
    ),
)
