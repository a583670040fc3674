"""Makes the valid inputs of the corpora: `python -m tests.fuzz.seeds`. What fuzzing found lies beside them."""

import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from center.record import sigmf
from center.record.mcap_file import McapFile
from center.record.reader import Recording
from wire import codec
from wire.contract.arrays import pack_complex, pack_picture
from wire.geometry import SYMBOLS
from wire.runtime.errors import UserError
from wire.v1 import channel_control_service_pb2 as control_pb2
from wire.v1 import recording_pb2, reference_service_pb2, types_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2

ROOT: Final = Path(__file__).resolve().parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"


def frame(sample_type: str, gains: int) -> link_pb2.SymbolFrame:
    made = link_pb2.SymbolFrame(
        sequence=7,
        captured_at_ns=1_700_000_000_000_000_000,
        stages=[link_pb2.StageTime(stage="encode", microseconds=9)],
    )
    made.symbols.CopyFrom(pack_complex(np.ones(SYMBOLS, np.complex64), sample_type))
    if gains:
        state = types_pb2.ChannelState(snr_db=7.0, noise_variance=0.2, coherence=-(-SYMBOLS // gains))
        state.gain.CopyFrom(pack_complex(np.full(gains, 1j, np.complex64)))
        made.channel_state.CopyFrom(state)
    return made


def onnx_model() -> bytes:
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
    ]
    weights = [
        helper.make_tensor("a", TensorProto.FLOAT, [2], [1.0, 2.0]),
        onnx.numpy_helper.from_array(np.ones(3, np.float16), "b"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [], [], weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    helper.set_model_props(model, {codec.HASH_KEY: "0" * 16, codec.ROLE_KEY: "encoder"})
    return bytes(model.SerializeToString())


def pair() -> recording_pb2.RecordedPair:
    made = recording_pb2.RecordedPair(rig="lab", batch=1, batch_size=1, decoded_at_ns=1)
    for view, gains in ((types_pb2.VIEW_LEFT, 5), (types_pb2.VIEW_RIGHT, 0)):
        recorded = made.frames.add(view=view, boot_id=3, captured_at_ns=5, arrived_at_ns=6)
        recorded.received.CopyFrom(frame("f32", gains))
    return made


def recordings() -> Iterator[tuple[str, bytes]]:
    session = recording_pb2.RecordingSession(
        session_id=7, codec="small-joint", codec_hash="0" * 16, engine="onnxruntime"
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lab.mcap"
        file = McapFile(path)
        file.add("session", session, 1, 1)
        file.add("lab/pairs", pair(), 2, 2)
        file.finish()
        yield "recording", path.read_bytes()
        yield "recording", path.read_bytes()[: path.stat().st_size // 2]
        try:
            sigmf.write(Recording(path).messages(), Path(folder) / "sigmf")
        except (UserError, TypeError) as problem:
            raise SystemExit(f"no SigMF: {problem}") from None
        for meta in (Path(folder) / "sigmf").glob("*.sigmf-meta"):
            if not meta.stem.endswith("-gain"):
                yield "sigmf_metadata", meta.read_bytes()


def pictures() -> Iterator[tuple[str, bytes]]:
    colour = Image.fromarray(np.arange(12 * 8 * 3, dtype=np.uint8).reshape(8, 12, 3))
    kinds = {"PNG": "picture_png", "JPEG": "picture_jpg", "TIFF": "picture_other", "WEBP": "picture_other"}
    for kind, name in {**kinds, "BMP": "picture_other", "PPM": "picture_other"}.items():
        data = io.BytesIO()
        colour.save(data, kind)
        yield name, data.getvalue()
    for mode, name in (("P", "picture_png"), ("L", "picture_png"), ("CMYK", "picture_jpg"), ("I;16", "picture_png")):
        data = io.BytesIO()
        (Image.new(mode, (5, 4))).save(data, "JPEG" if name == "picture_jpg" else "PNG")
        yield name, data.getvalue()


def weights() -> bytes:
    from jscc.model.checkpoint import rounded, save_weights
    from jscc.model.codec import JointCodec
    from jscc.model.config import preset

    with TemporaryDirectory() as folder:
        model = JointCodec(preset("tiny"))
        first = dict(list(rounded(model).items())[:2])  # a few are enough: the rest is shapes and noise
        save_weights(
            Path(folder) / "w", model.config, {key: value * 0 for key, value in first.items()}, {"preset": "tiny"}
        )
        return (Path(folder) / "w").read_bytes()


def everything() -> Iterator[tuple[str, bytes]]:
    """Names of targets, and a valid input of each kind."""
    for sample_type, gains in (("f32", 0), ("f16", 1), ("i8", 5), ("f32", SYMBOLS)):
        data = frame(sample_type, gains).SerializeToString()
        yield "frame_at_the_center", data
        yield "frame_at_the_emulator", data
    yield (
        "hello",
        link_pb2.Hello(
            rig="demo", view=types_pb2.VIEW_LEFT, codec_hash="0" * 16, boot_id=5, frame_rate=10.0
        ).SerializeToString(),
    )
    settings = control_pb2.LinkSettings(snr_db=7.0, model=control_pb2.CHANNEL_MODEL_RAYLEIGH, coherence=10, loss=0.1)
    request = control_pb2.UpdateLinkRequest(rig="demo", view=types_pb2.VIEW_LEFT, settings=settings)
    yield "control", request.SerializeToString()
    picture = reference_service_pb2.SubmitReferenceRequest(rig="demo", view=types_pb2.VIEW_LEFT, boot_id=1, sequence=2)
    picture.picture.CopyFrom(pack_picture(np.zeros((128, 256, 3), np.uint8)))
    yield "reference", picture.SerializeToString()
    for service in ("center", "emulator", "edge"):
        yield f"config_of_the_{service}", (ROOT / "deploy" / "config" / f"{service}.yaml").read_bytes()[:4096]
    yield "config_of_the_center", b"page: {port: 8081, hosts: [a, b]}\nlinks:\n  credit: 2\nquality: {metric: off}\n"
    yield (
        "config_of_the_emulator",
        b"links:\n- {rig: demo, view: left, snr_db: .inf}\n- rig: b\n  view: right\n  model: rician\n",
    )
    yield "config_of_the_edge", b"rig: demo\nview: right\ncamera: {kind: synthetic, fps: 5}\nlink: {credit: 2}\n"
    yield (
        "environment",
        b"VERGENCE_CENTER__LINKS__CREDIT=4\nVERGENCE_CENTER__PAGE__HOSTS__0=a\nVERGENCE_CENTER__DRAIN_S='x'\n",
    )
    yield "schedule", b"time_s,snr_db\n0,3\n1.5,inf\n2,-4e0\n"
    yield "schedule", b"time_s,snr_db\r\n0,3\r\n10,7\r\n"
    yield "page_json", json.dumps({"snr_db": 7.5, "model": "rayleigh", "outage": True, "coherence": 3}).encode()
    yield "page_json", b'{"snr_db": "noiseless", "csi": "noisy", "loss": 0.5}'
    yield "onnx_graph", onnx_model()
    yield "codec_list", (codec.shipped_folder() / codec.DEFAULT / "SHA256SUMS").read_bytes()
    yield "weights", weights()
    yield from recordings()
    yield from pictures()


def main() -> None:
    for name, data in everything():
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        (CORPUS / name / f"valid-{zlib.crc32(data):08x}.z").write_bytes(zlib.compress(data, 9))


if __name__ == "__main__":
    main()
