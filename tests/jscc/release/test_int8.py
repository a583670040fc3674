"""The decoder in 8-bit integers, of the tiny codec and of the shipped one."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from jscc.release.bundle import ship
from jscc.release.int8 import choose, main, multiplications
from jscc.release.onnx import export
from tests.jscc.conftest import train
from wire import codec, codec_manifest
from wire.runtime.errors import UserError


def test_errors_are_weighed_against_the_time_saved() -> None:
    errors = {"cheap": 3e-6, "dear": 4e-6, "painter": 5e-5, "dearest": 6e-6}
    work = {"cheap": 1, "dear": 100, "painter": 100, "dearest": 200}
    assert choose(errors, work, 1.2e-5) == ["dearest", "dear"]
    assert choose(errors, work, 6.1e-5) == ["dearest", "dear", "painter"]
    assert choose(errors, work, 1.0) == ["dearest", "dear", "painter", "cheap"]
    assert choose(errors, work, 1e-9) == []


@pytest.fixture(scope="module")
def made(tiny_folder: Path, picture_folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "codec"
    shutil.copytree(tiny_folder, folder)
    main(["--codec", str(folder), "--pairs", str(picture_folders[0])])
    return folder


def test_the_command_writes_a_decoder_of_the_same_codec(made: Path) -> None:
    exact, coarse = (codec.load_onnx(str(made), "decoder", 1, int8) for int8 in (False, True))
    assert coarse.codec_hash == exact.codec_hash
    random = np.random.default_rng(3)
    feed = {
        "symbols": random.standard_normal((2, 2, 10, 18, 40, 2), np.float32) * np.float32(0.7),
        "reliability": np.full((2, 2, 10, 18, 40), 0.9, np.float32),
        "snr_db": np.full((2, 2), 10.0, np.float32),
    }
    one, other = exact.session.run(None, feed)[0], coarse.session.run(None, feed)[0]
    assert 0.0 < np.mean((one - other) ** 2) < 1e-3


@pytest.mark.parametrize("folder", ["made", "shipped"])
def test_most_of_the_work_is_in_integers_and_standard(folder: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue("made") if folder == "made" else codec.folder("small-joint")
    model = onnx.load(str(path / codec.INT8_FILE))
    onnx.checker.check_model(model)
    assert [each.domain for each in model.opset_import] == [""]
    rounded = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    integers = [node.name for node in convolutions if {node.input[0], node.input[1]} <= rounded]
    assert integers
    if folder == "shipped":
        assert len(integers) >= 20


def test_multiplications_are_counted_as_in_the_definition() -> None:
    weight = onnx.numpy_helper.from_array(np.zeros((8, 3, 5, 5), np.float32), "w")
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="c", pads=[2, 2, 2, 2])
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["batch", c, "H", "W"]) for name, c in (("x", 3), ("y", 8))]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    found = multiplications(onnx.helper.make_model(graph), {"y": (2, 8, 16, 32)})
    assert found == {"c": 8 * 3 * 5 * 5 * 16 * 32}


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for what is traced, which takes a minute: the last name in the list makes another decoder."""
    names = ["one"]

    def trace(*arguments: object) -> onnx.ModelProto:
        ends = [onnx.helper.make_tensor_value_info(name, 1, ["n"]) for name in "xy"]
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        return onnx.helper.make_model(onnx.helper.make_graph([node], names[-1], ends[:1], ends[1:]))

    monkeypatch.setattr("jscc.release.onnx.trace", trace)
    return names


@pytest.mark.parametrize("how", ["ship", "export"])
def test_a_former_decoder_in_integers_goes_with_the_decoder_that_it_was_made_of(
    tmp_path: Path,
    tiny_folder: Path,
    picture_folders: tuple[Path, Path],
    graph: list[str],
    how: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if how == "ship":
        train(tmp_path / "run", picture_folders, "--stop-after", "1")
    folder = tmp_path / "codec"
    coarse = folder / codec.INT8_FILE

    def make() -> str:
        capsys.readouterr()
        if how == "ship":
            ship(tmp_path / "run", folder, None, [])
        else:
            export(tiny_folder / codec.WEIGHTS_FILE, folder)
        return capsys.readouterr().out

    assert make() == ""
    coarse.write_bytes(b"of one")
    codec_manifest.add_int8(folder)
    assert make() == ""
    assert codec.verified(coarse)[0] == b"of one"  # as long as the decoder is the same

    graph.append("other")
    assert make() == (
        f"{coarse} is removed: it was made of another decoder; python -m jscc.release.int8 --codec {folder}"
        " --pairs VALIDATION makes it anew\n"
    )
    with pytest.raises(UserError, match=r"i8\.onnx does not exist; make one with `python -m jscc\.release\.int8`"):
        codec.verified(coarse)
    coarse.write_bytes(b"that nobody lists, as an older version left it")
    with pytest.raises(UserError, match=r"is not listed in .* beside it; make one with `python -m jscc\.release"):
        codec.verified(coarse)
    assert "is removed" in make()
