"""One target for each parser of bytes from outside. A target takes any bytes and lets through only what is a fault.

Allowed is what a parser declares: a UserError that can be printed, or what a caller turns into one.
"""

import functools
import json
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message
from PIL import Image

from center.config import CenterConfig
from center.ingest import frames
from center.record import reader, sigmf
from center.web.links import LinkChange, LinkRefused
from channel_emulator.channel.randomness import RandomStreams
from channel_emulator.channel.settings import Settings
from channel_emulator.channel.snr import Schedule
from channel_emulator.config import EmulatorConfig
from channel_emulator.links.link import Link
from channel_emulator.relay.frames import process_frame
from edge.config import EdgeConfig
from wire import codec_graph, codec_manifest
from wire.contract import handshake, link_settings
from wire.contract.arrays import unpack_picture
from wire.pictures import read_picture
from wire.runtime import yaml_config
from wire.runtime.errors import UserError
from wire.v1 import channel_control_service_pb2 as control_pb2
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

LONGEST_LINE = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """A parser. run: takes any bytes; raises only for a fault. limit: bytes of the longest input that is tried."""

    name: str
    run: Callable[[bytes], None]
    limit: int


TARGETS: dict[str, Target] = {}


def target(
    *allowed: type[Exception], limit: int = 4096
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], None]]:
    """Register a parser with the errors that it may give."""

    def register(parse: Callable[[bytes], object]) -> Callable[[bytes], None]:
        @functools.wraps(parse)
        def run(data: bytes) -> None:
            try:
                parse(data)
            except allowed as error:
                line = str(error)
                assert line, "an error says something"
                assert len(line) < LONGEST_LINE, "an error is no copy of its input"
                line.encode()  # it can be printed

        name = parse.__name__
        TARGETS[name] = Target(name, run, limit)
        return run

    return register


@functools.cache
def _folder() -> Path:
    """A place for parsers of files; in memory where there is one."""
    shm = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(prefix="vergence-fuzz-", dir=shm if shm.is_dir() else None)
    _folder_holder.append(made)
    return Path(made.name)


_folder_holder: list[Any] = []


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _message(kind: type[Message], data: bytes) -> Any:
    """As gRPC hands it on; what is no message is refused before (wire.runtime.malformed)."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise UserError("not a message") from None


@target(UserError, limit=100_000)
def frame_at_the_center(data: bytes) -> None:
    message = _message(link_pb2.SymbolFrame, data)
    symbols, reliability, _ = frames.check_and_equalise(message)
    assert symbols.shape == (5120, 2)
    assert reliability.shape == (5120,)
    frames.stage_times(message)


@functools.cache
def _link() -> Link:
    return Link("demo", View.LEFT, Settings(), RandomStreams(1, "demo", View.LEFT), 0.0)


@target(UserError, limit=100_000)
def frame_at_the_emulator(data: bytes) -> None:
    process_frame(_link(), _message(link_pb2.SymbolFrame, data), 1.0)


@target(UserError)
def hello(data: bytes) -> None:
    said = _message(link_pb2.Hello, data)
    handshake.check(said)
    assert said.rig.isascii()
    assert len(said.rig) <= 63


@target(UserError)
def control(data: bytes) -> None:
    request = _message(control_pb2.UpdateLinkRequest, data)
    _link().update(link_settings.from_proto(request.settings))
    for name in link_settings.RANGED:
        value = getattr(_link().settings, name, None)
        assert value is None or link_settings.SETTINGS[name].refusal(value) is None


@target(UserError, limit=200_000)
def reference(data: bytes) -> None:
    unpack_picture(_message(reference_pb2.SubmitReferenceRequest, data).picture)


def _config(model: type[yaml_config.Section], data: bytes) -> None:
    yaml_config.load(model, _file("config.yaml", data), "VERGENCE_X", {})


@target(UserError)
def config_of_the_center(data: bytes) -> None:
    _config(CenterConfig, data)


@target(UserError)
def config_of_the_emulator(data: bytes) -> None:
    _config(EmulatorConfig, data)


@target(UserError)
def config_of_the_edge(data: bytes) -> None:
    _config(EdgeConfig, data)


@target(UserError)
def environment(data: bytes) -> None:
    """Lines of NAME=value, without what an operating system would refuse."""
    lines = data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    given = dict(line.split("=", 1) for line in lines if "=" in line)
    yaml_config.load(CenterConfig, None, "VERGENCE_CENTER", given)


@target(UserError)
def schedule(data: bytes) -> None:
    path = _file("schedule.csv", data)
    for interpolate in (False, True):
        made = Schedule.read(path, interpolate, loop=True)
        for seconds in (0.0, 1.5, 1e9):
            assert made.at(seconds) == made.at(seconds), "not NaN"


@target(LinkRefused)
def page_json(data: bytes) -> None:
    LinkChange.read(data).to_proto()


@target(codec_graph.GraphRefused, limit=20_000)
def onnx_graph(data: bytes) -> None:
    codec_graph.check(data)


@target(UserError)
def codec_list(data: bytes) -> None:
    _file(codec_manifest.MANIFEST_FILE, data)
    made = codec_manifest.read(_folder())
    assert made is not None
    assert len(made.codec_hash) == 16


@target(UserError, limit=20_000)
def weights(data: bytes) -> None:
    """model.safetensors, in torch."""
    from jscc.model.checkpoint import WeightsError, load_weights

    try:
        load_weights(_file("model.safetensors", data))
    except WeightsError as error:
        raise UserError(str(error)) from None


@target(UserError, limit=200_000)
def recording(data: bytes) -> None:
    """An MCAP file, and what a replay makes of its messages."""
    recorded = reader.Recording(_file("recording.mcap", data))
    for _ in recorded.messages():
        pass
    assert all("\n" not in line for line in recorded.damage)


@target(UserError, limit=20_000)
def sigmf_metadata(data: bytes) -> None:
    folder = _folder() / "sigmf"
    folder.mkdir(exist_ok=True)
    (folder / "lab.sigmf-meta").write_bytes(data)
    (folder / "lab.sigmf-data").write_bytes(bytes(8 * 5120))
    for _ in sigmf.messages(folder):
        pass


@target(UserError, limit=20_000)
def picture_png(data: bytes) -> None:
    _picture("picture.png", data)


@target(UserError, limit=20_000)
def picture_jpg(data: bytes) -> None:
    _picture("picture.jpg", data)


@target(UserError, limit=20_000)
def picture_other(data: bytes) -> None:
    """Of the other kinds, which their content tells."""
    _picture("picture.tiff", data)


def _picture(name: str, data: bytes) -> None:
    """With a smaller limit on pixels than cameras have: a few bytes that say a hundred million would take seconds each,
    and coverage is fond of them."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = 2**18
    try:
        read_picture(_file(name, data))
    finally:
        Image.MAX_IMAGE_PIXELS = before


def seeds(name: str) -> list[bytes]:
    """The corpus of a target: files that are unpacked here, so that they stay small in the repository."""
    folder = Path(__file__).parent / "corpus" / name
    return [zlib.decompress(path.read_bytes()) for path in sorted(folder.glob("*.z"))]


def dictionary(name: str) -> list[bytes]:
    """Words that a mutation may put in."""
    if name == "page_json":
        return [json.dumps(word).encode() for word in LinkChange.model_fields]
    return []
