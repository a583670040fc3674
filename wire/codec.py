"""Codecs on disk: what their files and metadata are called, where the shipped ones are, how a half is loaded.

A codec is a folder with `encoder.onnx`, `decoder.onnx` and `model.safetensors`. Each ONNX file carries
the hash of the codec in its metadata; edge and center refuse to talk when the hashes differ.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from wire.runtime.errors import UserError, not_installed

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DEFAULT: Final = "small-joint"
Role = Literal["encoder", "decoder"]
WEIGHTS_FILE: Final = "model.safetensors"
ONNX_FILES: Final[dict[Role, str]] = {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}
INT8_FILE: Final = "decoder.i8.onnx"
"""The decoder in 8-bit integers, for the same symbols; not every codec has one."""
HASH_KEY: Final = "vergence.codec_hash"
ROLE_KEY: Final = "vergence.role"
CONFIG_KEY: Final = "vergence.config"
PRESET_KEY: Final = "vergence.preset"
"""In the metadata of an ONNX file: 16 hexadecimal digits; a `Role`; the codec's config as JSON; its preset's name."""
_EXPORT: Final = "make one with `vergence-edge export` (needs the train extra)"


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
    raises   UserError if onnxruntime or the file is missing, broken or of the other role
    """
    onnxruntime = load_onnxruntime()
    path = onnx_file(codec, role, int8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle workers that spin would eat the cores that the other services need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise unreadable(path, str(error).splitlines()[0]) from error
    return OnnxHalf(session, check_metadata(path, role, session.get_modelmeta().custom_metadata_map))


def onnx_file(codec: str, role: Role, int8: bool = False) -> Path:
    """The file of one half of a codec, whoever reads it. int8: the decoder's. raises UserError if it is missing"""
    path = folder(codec) / (INT8_FILE if int8 else ONNX_FILES[role])
    if not path.is_file():
        make = "make one with `python -m jscc.release.int8` (needs the train extra)" if int8 else _EXPORT
        raise UserError(f"{path} does not exist; {make}")
    return path


def unreadable(path: Path, why: str) -> UserError:
    """What to say of a file that a library cannot read."""
    return UserError(f"{path} cannot be loaded ({why}); {_EXPORT}")


def check_metadata(path: Path, role: Role, said: Mapping[str, str]) -> str:
    """The hash of the codec that an ONNX file belongs to.

    said    the metadata of the file
    raises  UserError if it is none of ours, or the other half
    """
    if said.get(ROLE_KEY) != role or not said.get(HASH_KEY):
        raise UserError(f"{path} is not a vergence {role} (role '{said.get(ROLE_KEY, '')}'); {_EXPORT}")
    return said[HASH_KEY]
