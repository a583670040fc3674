"""What lies in a codec's folder is what runs: damage of any kind is refused, by name and in one line."""

import hashlib
import logging
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from center.decode import engines
from wire import codec, codec_graph, codec_manifest
from wire.codec_manifest import COVERED, MANIFEST_FILE
from wire.runtime.errors import UserError

Damage = Callable[[Path], Any]
SHIPPED = codec.shipped_folder() / codec.DEFAULT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped codec, to be damaged."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "codec"))


def flipped(place: float) -> Damage:
    """One bit, at a share of the file's length."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 0x10
        path.write_bytes(content)

    return damage


def changed(change: Callable[[onnx.ModelProto], Any]) -> Damage:
    """Another graph, written as ONNX writes it."""

    def damage(path: Path) -> None:
        model = onnx.load(str(path))
        change(model)
        onnx.save_model(model, str(path))

    return damage


def with_weights(change: Callable[[np.ndarray[Any, Any]], Any]) -> Damage:
    """Other values in the largest tensor."""

    def other(model: onnx.ModelProto) -> None:
        largest = max(model.graph.initializer, key=lambda each: len(each.raw_data))
        values = numpy_helper.to_array(largest).copy()
        change(values)
        largest.CopyFrom(numpy_helper.from_array(values, largest.name))

    return changed(other)


def renamed(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == codec.CONFIG_KEY:
            entry.value += " "


def swapped(path: Path) -> None:
    other = {"encoder.onnx": "decoder.onnx", "decoder.onnx": "encoder.onnx"}[path.name]
    path.write_bytes((path.parent / other).read_bytes())


def of_another_codec(path: Path) -> None:
    shutil.copy(codec.shipped_folder() / "small-ms-ssim" / path.name, path)


DAMAGES: dict[str, Damage] = {
    "first bit": flipped(0.0),
    "early bit": flipped(0.01),
    "bit in the middle": flipped(0.5),
    "late bit": flipped(0.9),
    "last bit": flipped(1.0),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte less": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "a page of zeros": lambda path: path.write_bytes(
        path.read_bytes()[:8192] + bytes(4096) + path.read_bytes()[12288:]
    ),
    "all zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "weights zero": with_weights(lambda values: values.fill(0)),
    "one weight NaN": with_weights(lambda values: values.put(7, np.nan)),
    "weights infinite": with_weights(lambda values: values.fill(np.inf)),
    "weights scaled": with_weights(lambda values: np.multiply(values, 1.5, out=values)),
    "metadata": changed(renamed),
    "the other half": swapped,
    "of another codec": of_another_codec,
}


@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name(folder: Path, damage: str, role: codec.Role) -> None:
    path = folder / codec.ONNX_FILES[role]
    DAMAGES[damage](path)
    with pytest.raises(UserError) as caught:
        codec.load_onnx(str(folder), role, 1)
    assert str(caught.value) == (
        f"{path} is not the file that SHA256SUMS beside it lists: it is damaged; copy the codec's folder again, or make"
        " it with `vergence-edge export` (needs the train extra)"
    )


@pytest.mark.parametrize("damage", [name for name in DAMAGES if "weight" not in name and name != "metadata"])
def test_damaged_weights_are_refused_by_the_torch_engine(folder: Path, damage: str) -> None:
    pytest.importorskip("torch")
    path = folder / "model.safetensors"
    if damage == "the other half":
        shutil.copy(folder / "decoder.onnx", path)
    else:
        DAMAGES[damage](path)
    with pytest.raises(UserError, match=f"^{path} is not the file that SHA256SUMS beside it lists: it is damaged; "):
        engines.load(str(folder), "torch", "cpu", 1)


def test_edge_and_center_agree_on_files_of_their_own(tmp_path: Path) -> None:
    """As in the images: each host has its own half and the manifest."""
    hashes = set()
    roles: list[codec.Role] = ["encoder", "decoder"]
    for role in roles:
        (tmp_path / role).mkdir()
        for name in (codec.ONNX_FILES[role], MANIFEST_FILE):
            shutil.copy(SHIPPED / name, tmp_path / role / name)
        hashes.add(codec.load_onnx(str(tmp_path / role), role, 1).codec_hash)
    pytest.importorskip("torch")
    hashes.add(engines.load(str(SHIPPED), "torch", "cpu", 1).codec_hash)
    assert len(hashes) == 1


def test_the_hash_is_that_of_the_list_and_the_list_is_sha256sums_own(folder: Path) -> None:
    lines = (folder / MANIFEST_FILE).read_bytes().splitlines(keepends=True)
    text = b"".join(line for line in lines if line.split()[1].decode() in COVERED)
    found = codec.load_onnx(str(folder), "encoder", 1).codec_hash
    assert found == hashlib.sha256(text).hexdigest()[:16]
    (folder / MANIFEST_FILE).write_bytes(b"".join(reversed(text.splitlines(keepends=True))).replace(b"\n", b"\r\n"))
    assert codec.load_onnx(str(folder), "encoder", 1).codec_hash == found
    if shutil.which("sha256sum"):
        (folder / MANIFEST_FILE).write_bytes(text)
        subprocess.run(["sha256sum", "--check", "--strict", MANIFEST_FILE], cwd=folder, check=True, timeout=30)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in codec.shipped_folder().glob("*/encoder.onnx")))
def test_every_shipped_codec_has_its_manifest(name: str) -> None:
    manifest = codec_manifest.read(codec.shipped_folder() / name)
    assert manifest is not None
    for covered in COVERED:
        path = codec.shipped_folder() / name / covered
        manifest.check(path, path.read_bytes())


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-1][:-20],
        lambda text: text + text,
        lambda text: text.upper(),
        lambda text: text.replace("encoder.onnx", "../encoder.onnx"),
        lambda text: text.replace("\n", "\0"),
        lambda text: text + "# a word\n",
        lambda text: text + "x" * 2**17,
    ],
)
def test_a_damaged_manifest_is_refused_by_name(folder: Path, damage: Callable[[str], str]) -> None:
    path = folder / MANIFEST_FILE
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=f"^{path} is damaged: it must list decoder.onnx, encoder.onnx, model.saf"):
        codec.load_onnx(str(folder), "encoder", 1)


def test_a_manifest_that_was_changed_with_its_files_is_another_codec(folder: Path) -> None:
    before = codec.load_onnx(str(folder), "decoder", 1).codec_hash
    changed(renamed)(folder / "encoder.onnx")
    codec_manifest.write(folder, folder / "model.safetensors")
    assert codec.load_onnx(str(folder), "decoder", 1).codec_hash != before


def test_a_codec_of_version_0_1_loads_under_the_hash_that_it_states_and_is_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / MANIFEST_FILE).unlink()
    with caplog.at_level(logging.WARNING):
        assert codec.load_onnx(str(folder), "encoder", 1).codec_hash == "cc56a4d827f38d0f"
    assert f"no SHA256SUMS beside {folder / 'encoder.onnx'}: damage would go unseen" in caplog.text
    pytest.importorskip("torch")
    assert engines.load(str(folder), "torch", "cpu", 1).codec_hash == "cc56a4d827f38d0f"


def external(model: onnx.ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"


def in_a_constant(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("far", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.insert(0, helper.make_node("Constant", [], ["far"], value=tensor))


def in_a_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], "inner", [], [])
    model.graph.node.insert(0, helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))


def nested(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    for _ in range(20):
        inner = helper.make_graph([helper.make_node("If", ["c"], ["z"], then_branch=inner)], "inner", [], [])
    model.graph.node.insert(0, inner.node[0])


def own_function(model: onnx.ModelProto) -> None:
    opset = helper.make_opsetid("", 18)
    model.functions.append(helper.make_function("mine", "F", ["x"], ["y"], [], [opset]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (external, "it keeps weights in other files"),
        (in_a_constant, "it keeps weights in other files"),
        (in_a_branch, "it needs operators of 'com.microsoft', which are not ONNX's own"),
        (
            lambda model: model.opset_import.append(helper.make_opsetid("com.example\n", 1)),
            r"it needs operators of 'com.example\\n', which are not ONNX's own",
        ),
        (own_function, "it defines operators of its own"),
        (nested, "its graphs are nested more than 8 deep"),
    ],
)
def test_a_graph_that_reaches_out_is_refused_whoever_vouches_for_it(
    folder: Path, change: Callable[[onnx.ModelProto], None], why: str
) -> None:
    path = folder / "encoder.onnx"
    changed(change)(path)
    codec_manifest.write(folder, folder / "model.safetensors")
    with pytest.raises(UserError, match=rf"^{path} cannot be loaded \({why}\); copy the codec's folder again"):
        codec.load_onnx(str(folder), "encoder", 1)


@pytest.mark.parametrize("damage", ["one weight NaN", "weights infinite"])
def test_weights_that_are_no_numbers_are_refused_without_a_manifest_too(folder: Path, damage: str) -> None:
    (folder / MANIFEST_FILE).unlink()
    DAMAGES[damage](folder / "decoder.onnx")
    with pytest.raises(UserError, match=r"cannot be loaded \(it has weights that are not finite numbers\)"):
        codec.load_onnx(str(folder), "decoder", 1)


@pytest.mark.parametrize("content", [b"\x40\x01", b"\x3a\x80", b"\xff"])
def test_what_is_no_graph_is_refused_as_such(content: bytes) -> None:
    """The first, an opset that is a number, was found by fuzzing."""
    with pytest.raises(codec_graph.GraphRefused, match="it is not an ONNX file"):
        codec_graph.check(content)


@pytest.mark.parametrize(
    ("version", "spins"), [("1.22.0", False), ("1.25.1", False), ("1.26.0", True), ("1.32.0", True), ("2.0.0rc1", True)]
)
def test_workers_spin_only_where_that_has_an_end(version: str, spins: bool) -> None:
    entries = codec.waiting(version)
    assert (entries["intra_op.allow_spinning"] == "1") is spins
    assert ("intra_op.spin_duration_us" in entries) is ("force_spinning_stop" in entries) is spins


def test_a_decoder_that_has_decoded_takes_no_cpu() -> None:
    half = codec.load_onnx(codec.DEFAULT, "encoder", 2)
    picture, snr_db = np.zeros((1, 3, 128, 256), np.float32), np.zeros(1, np.float32)
    half.session.run(None, {"picture": picture, "snr_db": snr_db})
    time.sleep(0.05)
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.1
