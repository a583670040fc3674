"""The decoder in 8-bit integers: `python -m jscc.release.int8 --codec small-joint --pairs DIR`.

Writes decoder.i8.onnx beside decoder.onnx: the same weights, those of most convolutions rounded to 8 bits per output
channel, and what goes into these convolutions to 8 bits per tensor, over the ranges seen while pairs were decoded.
CPUs multiply 8-bit integers two to four times as fast. A few convolutions stay as they are: those whose rounding
alone would be seen most, such as the last one, which paints. Calibrate on validation pairs, never on test pairs.
"""

import argparse
import itertools
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from jscc.channel import Fading, transmit
from jscc.data.pairs import read_cropped
from jscc.model.codec import Codec, load
from jscc.release.onnx import halve
from wire import codec, codec_manifest, geometry
from wire.runtime.errors import UserError
from wire.runtime.files import replacing

Feed = dict[str, NDArray[np.float32]]

MOST_ERROR: Final = 1.2e-5
"""Mean squared error that all rounded convolutions together may add to a picture in [0, 1], as far as each one's adds
up: 0.03 dB of a picture of 28 dB."""

LINKS: Final[tuple[tuple[float, float, Fading], ...]] = (
    (-2.0, -2.0, Fading.NONE),
    (4.0, 4.0, Fading.NONE),
    (12.0, 12.0, Fading.NONE),
    (7.0, 1.0, Fading.NONE),
    (4.0, math.inf, Fading.NONE),
    (-math.inf, 7.0, Fading.NONE),
    (10.0, 10.0, Fading.FAST),
    (4.0, 4.0, Fading.BLOCK),
    (math.inf, math.inf, Fading.NONE),
)
"""Links that ranges are taken over: SNR of the left and of the right in dB, fading of both."""

_EACH_PAIR: Final = 4
"""Links that each pair is sent over; the next pair goes on with the next."""

_TRIALS: Final = 6


def feeds(of: Codec, pairs: NDArray[np.uint8]) -> Iterator[Feed]:
    """What the decoder takes, of pairs that were sent over `LINKS` in turns.

    pairs  uint8 [n, 2, 3, rows, columns]
    """
    links, chance = itertools.cycle(LINKS), torch.Generator().manual_seed(1)
    for pair in pairs:
        pictures = torch.from_numpy(pair).float() / 255
        for left, right, fading in itertools.islice(links, _EACH_PAIR):
            snr_db = torch.tensor((left, right))
            estimate, reliability = transmit(of.encode(pictures, snr_db), snr_db, fading, chance)
            latent = geometry.LATENT_CHANNELS // 2, *(side // geometry.DOWNSCALING for side in pair.shape[2:])
            yield {
                "symbols": estimate.reshape(1, 2, *latent, 2).numpy(),
                "reliability": reliability.reshape(1, 2, *latent).numpy(),
                "snr_db": snr_db[None].numpy(),
            }


class Quantiser:
    """Rounds chosen convolutions of one decoder.

    convolutions  multiplications of each for one pair, by name
    """

    def __init__(self, decoder: Path, work: Path, calibration: Sequence[Feed]) -> None:
        """
        decoder      decoder.onnx
        work         an empty folder for what is only needed here
        calibration  inputs that ranges are taken over
        """
        self._runtime = codec.load_onnxruntime()
        self._folded = work / "folded.onnx"
        options = self._options()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard ONNX only
        options.optimized_model_filepath = str(self._folded)
        self._session(str(decoder), options)
        self.convolutions = self._multiplications(calibration[0])
        self._ranges = self._calibrate(calibration, work / "watched.onnx")

    def rounded(self, names: Sequence[str]) -> onnx.ModelProto:
        """The decoder with these convolutions in integers."""
        from onnxruntime.quantization import QDQQuantizer, QuantType

        quantizer = QDQQuantizer(
            onnx.shape_inference.infer_shapes(onnx.load(str(self._folded))),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=list(names),
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv"],
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
        model: onnx.ModelProto = quantizer.model.model
        return model

    def run(self, model: onnx.ModelProto | Path, inputs: Sequence[Feed]) -> NDArray[np.float32]:
        """The pictures of inputs of one pair each, float32 [len(inputs), 2, 3, 128, 256]."""
        file = str(model) if isinstance(model, Path) else model.SerializeToString()
        session = self._session(file, self._options())
        return np.concatenate([session.run(None, feed)[0] for feed in inputs])

    def _multiplications(self, inputs: Feed) -> dict[str, int]:
        """Of each convolution, for one picture of the size of these inputs."""
        model = onnx.load(str(self._folded))
        names = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        found = self._session(model.SerializeToString(), self._options()).run(names, inputs)
        return multiplications(model, {name: each.shape for name, each in zip(names, found, strict=True)})

    def _calibrate(self, inputs: Sequence[Feed], watched: Path) -> Any:
        """The smallest and largest number of every tensor around a convolution."""
        from onnxruntime.quantization import CalibrationDataReader
        from onnxruntime.quantization.calibrate import create_calibrator

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            left = iter(inputs)

            def get_next(self) -> Feed | None:
                return next(self.left, None)

        calibrator = create_calibrator(self._folded, ["Conv"], augmented_model_path=str(watched))
        calibrator.collect_data(Reader())
        return calibrator.compute_data()

    def _options(self) -> Any:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        return options

    def _session(self, file: str | bytes, options: Any) -> Any:
        return self._runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def multiplications(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Of each convolution, for one picture. shapes: of their outputs by name, [N, C, H, W]"""
    weights = {each.name: math.prod(each.dims) for each in model.graph.initializer}
    return {
        node.name: weights[node.input[1]] * math.prod(shapes[node.output[0]][2:])
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in weights
    }


def choose(errors: dict[str, float], work: dict[str, int], most: float = MOST_ERROR) -> list[str]:
    """The convolutions to round: all but those with most error for the time that they save, so that the errors of the
    rest add up to `most` at most.

    errors  mean squared error of the pictures when only this one is rounded
    work    its multiplications
    """
    chosen, total = [], 0.0
    for name in sorted(errors, key=lambda each: errors[each] / work[each]):
        total += errors[name]
        if total > most:
            break
        chosen.append(name)
    return chosen


def quantise(folder: Path, pairs: NDArray[np.uint8], say: Any = print) -> Path:
    """Write decoder.i8.onnx into the folder of a codec. Takes a few minutes.

    pairs    uint8 [n, 2, 3, 128, 256], validation pairs
    returns  the file
    """
    source, out = folder / codec.ONNX_FILES["decoder"], folder / codec.INT8_FILE
    inputs = list(feeds(load(folder), pairs))
    with tempfile.TemporaryDirectory(prefix="vergence-int8-") as work:
        quantiser = Quantiser(source, Path(work), inputs)
        trials = inputs[:: max(1, len(inputs) // _TRIALS)]
        exact = quantiser.run(source, trials)
        errors: dict[str, float] = {}
        for name in quantiser.convolutions:
            pictures = quantiser.run(quantiser.rounded([name]), trials)
            errors[name] = float(np.mean((pictures - exact) ** 2))
        chosen = choose(errors, quantiser.convolutions)
        for name in sorted(set(errors) - set(chosen), key=lambda each: -errors[each]):
            say(f"stays as it is: {name}, mean squared error {errors[name]:.1e} if rounded")
        model = quantiser.rounded(chosen)
        error = float(np.mean((quantiser.run(model, trials) - exact) ** 2))
    save(model, source, out)
    codec_manifest.add_int8(folder)
    say(f"{out}: {len(chosen)} of {len(errors)} convolutions in integers, mean squared error {error:.1e}")
    return out


def save(model: onnx.ModelProto, source: Path, out: Path) -> None:
    """Write a rounded decoder with the metadata of the one that it was made of."""
    halve(model)
    helper.set_model_props(model, {each.key: each.value for each in onnx.load(str(source)).metadata_props})
    standard = [each for each in model.opset_import if not each.domain]  # no node is of another domain
    del model.opset_import[:]
    model.opset_import.extend(standard)
    onnx.checker.check_model(model)
    with replacing(out) as partial:
        onnx.save_model(model, str(partial))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m jscc.release.int8", description="The decoder of a codec in 8-bit integers"
    )
    parser.add_argument("--codec", default=codec.DEFAULT, help="shipped name or folder (default %(default)s)")
    parser.add_argument("--pairs", type=Path, required=True, help="validation pairs: left/NAME.png, right/NAME.png")
    args = parser.parse_args(arguments)
    try:
        pairs = np.stack(list(read_cropped(args.pairs, "calibrating").values()))
        quantise(codec.folder(args.codec), pairs)
    except (OSError, ValueError, UserError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
