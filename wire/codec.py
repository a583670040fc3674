"""Codecs on disk: what their files and metadata are called, where the shipped ones are, how a half is loaded.

A codec is a folder with `encoder.onnx`, `decoder.onnx`, `model.safetensors` and SHA256SUMS, which lists the three. The
hash of that list is the codec hash; edge and center refuse to talk when theirs differ. A folder of version 0.1 has no
list: then the hash is the one that each ONNX file states in its metadata, and nothing holds the file to it.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from wire import codec_graph, codec_manifest
from wire.codec_manifest import ANEW, MAKE_INT8, MANIFEST_FILE
from wire.runtime.errors import UserError, cause, not_installed, one_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DEFAULT: Final = "small-joint"
Role = Literal["encoder", "decoder"]
WEIGHTS_FILE: Final = "model.safetensors"
ONNX_FILES: Final[dict[Role, str]] = {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}
INT8_FILE: Final = codec_manifest.INT8_FILE
"""The decoder in 8-bit integers, for the same symbols; not every codec has one."""
HASH_KEY: Final = "vergence.codec_hash"
ROLE_KEY: Final = "vergence.role"
CONFIG_KEY: Final = "vergence.config"
PRESET_KEY: Final = "vergence.preset"
"""In the metadata of an ONNX file: 16 hexadecimal digits that stand for config and weights; a `Role`; the codec's
config as JSON; its preset's name."""
SPIN_MICROSECONDS: Final = 20
"""That a worker of onnxruntime spins for the next layer: most come within, and more costs CPU time and wins nothing."""

_LONGEST_REASON: Final = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OnnxHalf:
    """One half of a codec, loaded. session: onnxruntime; codec_hash: 16 hexadecimal digits."""

    session: "InferenceSession"
    codec_hash: str


def folder(codec: str) -> Path:
    """The folder of a codec: a path, or the name of one that is shipped in `jscc/weights/`.

    raises  UserError if there is no such folder, with the names that are shipped
    """
    path = Path(codec).expanduser()
    if path.is_dir():
        return path
    weights = shipped_folder()
    if (weights / codec).is_dir():
        return weights / codec
    shipped = sorted(entry.name for entry in weights.iterdir() if entry.is_dir()) if weights.is_dir() else []
    raise UserError(f"codec '{codec}' is neither a folder nor shipped; shipped: {', '.join(shipped) or 'none'}")


def shipped_folder() -> Path:
    """Where the codecs that are shipped lie, each in a folder of its name."""
    return Path(str(files("jscc"))) / "weights"


def verified(path: Path) -> tuple[bytes, str | None]:
    """The content of a codec's file, held to the manifest beside it.

    returns  (content, codec hash); None for the hash if no manifest lists the file, which is told in the log
    raises   UserError if the file is missing or damaged, or the manifest is
    """
    manifest = codec_manifest.read(path.parent) if path.name in codec_manifest.LISTED else None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        remedy = MAKE_INT8 if path.name == INT8_FILE else ANEW
        raise UserError(f"{path} does not exist; {remedy}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({cause(error)}); {ANEW}") from error
    if manifest is None:
        _log.warning("no %s beside %s: damage would go unseen; `vergence-edge export` writes one", MANIFEST_FILE, path)
        return content, None
    manifest.check(path, content)
    return content, manifest.codec_hash


def load_onnxruntime() -> Any:
    """The module, which has called nobody. raises UserError if it is not installed"""
    # Else onnxruntime 1.29 and newer write a device id into the home folder and report to their maker; they look here
    # only while they are imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed("onnxruntime", "edge") from error
    return onnxruntime


def load_onnx(codec: str, role: Role, threads: int, int8: bool = False) -> OnnxHalf:
    """Load one half of a codec with onnxruntime on the CPU.

    codec    a folder, or a shipped name
    threads  intra-op threads; 0 lets onnxruntime take every core
    int8     the decoder in 8-bit integers
    raises   UserError if onnxruntime or the file is missing, or the file is damaged, of the other role, or needs more
             than itself and ONNX's own operators
    """
    onnxruntime = load_onnxruntime()
    path = onnx_file(codec, role, int8)
    content, codec_hash = verified(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A plan of the memory is kept for every shape of inputs, in a block of its own: for pictures of 512x1024 it doubles
    # what is needed, and it saves no time.
    options.enable_mem_pattern = False
    for name, value in waiting(onnxruntime.__version__).items():
        options.add_session_config_entry(f"session.{name}", value)
    try:
        codec_graph.check(content)
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        said = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise unreadable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    stated = check_metadata(path, role, said)
    return OnnxHalf(session, codec_hash or stated)


def waiting(version: str) -> dict[str, str]:
    """How workers wait between two layers, as entries of a session. version: of onnxruntime

    One that spins for a moment goes on sooner than one that has to be woken: a pair is decoded in 0.92 of the time.
    Without an end to it, as before 1.26, it would eat the cores that the other services need, and so it would once the
    pair is decoded.
    """
    if tuple(int(each) for each in version.split(".")[:2]) < (1, 26):
        return {"intra_op.allow_spinning": "0"}
    return {
        "intra_op.allow_spinning": "1",
        "intra_op.spin_duration_us": f"{SPIN_MICROSECONDS}",
        "force_spinning_stop": "1",
    }


def onnx_file(codec: str, role: Role, int8: bool = False) -> Path:
    """The file of one half of a codec, whoever reads it. int8: the decoder's. raises UserError if there is no codec"""
    return folder(codec) / (INT8_FILE if int8 else ONNX_FILES[role])


def unreadable(path: Path, why: str) -> UserError:
    """What to say of a file that a library cannot read."""
    return UserError(f"{path} cannot be loaded ({one_line(why, _LONGEST_REASON)}); {ANEW}")


def check_metadata(path: Path, role: Role, said: Mapping[str, str]) -> str:
    """The hash that the ONNX file of a codec states.

    said    the metadata of the file
    raises  UserError if it is none of ours, or the other half
    """
    if said.get(ROLE_KEY) != role or not said.get(HASH_KEY):
        raise UserError(f"{path} is not a vergence {role} (role '{one_line(said.get(ROLE_KEY, ''), 40)}'); {ANEW}")
    return said[HASH_KEY]
