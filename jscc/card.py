"""The model card that is written beside shipped weights."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from jscc.models import Codec
from jscc.validate import NEIGHBOURS
from wire import geometry


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _history(about: Mapping[str, Any]) -> list[str]:
    """The trainings that made the weights, one after the other, each begun with the average of the one before."""
    earlier = _history(about["before"]) if "before" in about else []
    settings = about["settings"]
    step, steps = about["step"], about["settings"]["steps"]
    sizes = [f"{settings['patches']} pairs of 64x128 patches a step"] if settings["whole_share"] < 1 else []
    sizes.append(
        f"{settings['pictures']} whole pairs a step"
        if not sizes
        else f"the last {settings['whole_share']:.0%} on {settings['pictures']} whole pairs"
    )
    return [
        *earlier,
        f"{'Then' if earlier else 'Trained'} {step:,} of {steps:,} steps{' more' if earlier else ''};"
        f" optimiser {settings['optimiser']}, learning rate {settings['lr']:g} (cosine), loss `{settings['loss']}`,"
        f" seed {settings['seed']}, moving average {settings['ema']:g}; {', '.join(sizes)}.",
    ]


def card(name: str, codec: Codec, about: Mapping[str, Any], table: Mapping[str, float] | None) -> str:
    """Markdown: what it is, how it was trained, how good it is, what it may be used for."""
    encoder, decoder = count(codec.model.encoder), count(codec.model.decoder)
    lines = [
        f"# {name}",
        "",
        f"A joint source-channel codec for pairs of {geometry.HEIGHT} x {geometry.WIDTH} RGB pictures,"
        f" {geometry.SYMBOLS} complex symbols a picture. Codec hash `{codec.codec_hash}`.",
        "",
        f"- Preset `{about['preset']}`, joint decoding {'on' if codec.config.joint else 'off'};"
        f" encoder {encoder / 1e6:.2f} M parameters, decoder {decoder / 1e6:.2f} M.",
        *(f"- {part}" for part in _history(about)),
        "- Links in training: SNR uniform in -3...14 dB, each view on its own;"
        " AWGN mostly, some Rayleigh fast and block fading;"
        " neighbours that are much better, noiseless or absent in part of the draws.",
        "- Weights are float16 and computed with in float32; `model.safetensors`,"
        " `encoder.onnx` and `decoder.onnx` hold the same values.",
        "",
    ]
    if table is not None:
        snrs = list(dict.fromkeys(key.split("@")[1] for key in table))
        lines += [
            "Mean PSNR in dB over both views of 15 KITTI 2015 validation pairs"
            " (used for choosing, not for training), AWGN:",
            "",
        ]
        lines += ["| neighbour | " + " | ".join(f"{snr} dB" for snr in snrs) + " |", "|---" * (len(snrs) + 1) + "|"]
        lines += [
            f"| {kind} | " + " | ".join(f"{table[f'{kind}@{snr}']:.2f}" for snr in snrs) + " |" for kind in NEIGHBOURS
        ]
        lines += [
            "",
            "*true*: both links have the SNR; *unrelated*: the other view shows another scene;"
            " *noiseless*, *absent*: the other link.",
            "",
        ]
    lines += [
        "**Licence of the weights.** Trained on KITTI (Geiger, Lenz, Urtasun, CVPR 2012;"
        " Menze, Geiger, CVPR 2015; CC BY-NC-SA 3.0),"
        " Middlebury stereo, and single pictures of KITTI, Udacity (MIT), drive.ai (CC BY 4.0),"
        " Urban100 and BSDS500 (research only):"
        " for **non-commercial** use, share alike.",
        "",
        "**Limits.** Rectified street scenes from a car; other content decodes worse."
        " Not tested for any safety purpose.",
        "",
    ]
    return "\n".join(lines)
