"""The model card that is written beside shipped weights."""

from collections.abc import Mapping
from typing import Any

from jscc.model.codec import Codec, count
from jscc.model.config import PRESETS, CodecConfig, preset
from jscc.quality import MS_SSIM_SCALES, MS_SSIM_WINDOW
from jscc.train.run_log import differences, duration
from jscc.train.settings import completed
from jscc.train.validation import NEIGHBOURS
from wire import geometry
from wire.codec import ONNX_FILES, WEIGHTS_FILE


def stages(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The trainings that made the weights, as far back as is known; each began with the average of the one before, as
    far as its line does not say otherwise.
    """
    before = about.get("before", {})
    return [*(stages(before) if "settings" in before else []), about]


def _stage(about: Mapping[str, Any]) -> str:
    """One training in one line."""
    settings = completed(about["settings"])
    whole, draws, mixture = settings["whole_share"], settings["draws"], settings["mixture"]
    sizes = [f"{settings['patches']} pairs of 64x128 patches a step"] if whole < 1 else []
    if whole > 0:
        last = f"the last {whole:.0%} on " if sizes else ""
        kinds = settings["sizes"]
        drawn = ", drawn for each step, of larger ones fewer" if len(kinds) > 1 else ""
        of_sizes = f" ({' or '.join(kinds)}{drawn})" if kinds else ""
        sizes.append(f"{last}{settings['pictures']} whole pairs{'' if sizes else ' a step'}{of_sizes}")
    skew = draws["absent_skew"]
    skewed = f" (the SNR there a uniform number to the power {skew:g})" if skew != 1 else ""
    time = f" in {duration(about['seconds'])}" if "seconds" in about else ""
    return (
        f"{about['step']:,} of {settings['steps']:,} steps{time};"
        f" optimiser {settings['optimiser']}, learning rate {settings['lr']:g} (cosine), loss `{settings['loss']}`,"
        f" seed {settings['seed']}, moving average {settings['ema']:g}; {', '.join(sizes)};"
        f" the other link 10 to 20 dB better in {draws['better_other']:.0%} of the pairs, noiseless in"
        f" {draws['noiseless_other']:.0%}, absent in {draws['absent_other']:.0%}{skewed}; Rayleigh fading in"
        f" {draws['fast_fading']:.0%} (fast) and {draws['block_fading']:.0%} (block); second views made from single"
        f" pictures in up to {mixture['mono_share']:.0%}.{_frozen(about)}{_network(about)}{_earlier(about)}"
        f"{_pictures(about.get('data'))}"
    )


def _frozen(about: Mapping[str, Any]) -> str:
    """What was not trained, and what did not begin with the weights of before, which older runs do not say."""
    if about.get("frozen") != "encoder":
        return ""
    fresh = about.get("fresh")
    if fresh is None:
        began = "what did not fit began at random"
    elif fresh:
        began = f"of {', '.join(f'`{part}`' for part in fresh)} what did not fit began at random"
    else:
        began = "all of it began with the weights of before"
    return f" The decoder alone was trained, for an encoder that stayed as it was; {began}."


def _beside(name: str, config: CodecConfig) -> str:
    """What a codec has otherwise than the preset of that name."""
    if name not in PRESETS:
        return ""
    changes = differences(preset(name, joint=config.joint).to_dict(), config.to_dict())
    return " with " + ", ".join(f"{key} {new}" for key, (_, new) in changes.items()) if changes else ""


def _network(about: Mapping[str, Any]) -> str:
    """What this stage changed in the network that the one before had trained."""
    changes = differences(about.get("before", {}).get("config", {}), about.get("config", {}))
    changes.pop("joint", None)  # which stands before the stage
    changes.pop("interleaver", None)  # which no training depends on
    return "".join(f" Network: {name} {old} -> {new}." for name, (old, new) in changes.items())


def _earlier(about: Mapping[str, Any]) -> str:
    """What the settings were before a resume changed them."""
    now = completed(about["settings"])
    return "".join(
        f" Until step {part['until']:,}: "
        + ", ".join(f"{name} {old}" for name, (old, _) in differences(completed(part["settings"]), now).items())
        + "."
        for part in about.get("earlier", [])
    )


def _pictures(data: Mapping[str, Any] | None) -> str:
    """What run.json says of the pictures; older ones say nothing."""
    if data is None:
        return ""
    folders = ", ".join(f"`{name}`" for name in (*data["pairs"], *data["mono"]))
    return (
        f" Pictures: {data['colour_pairs']:,} colour pairs, {data['grey_pairs']:,} grey pairs and {data['single']:,}"
        f" single ones, from {folders}."
    )


def _history(about: Mapping[str, Any]) -> list[str]:
    """All trainings, with their sum if there are several."""
    if "settings" not in about:
        return ["- Its file does not tell how it was trained."]
    made = stages(about)
    before = made[0].get("before")
    start = [f"- Begun with the weights of `{before['from']}`."] if before else []
    if len(made) == 1:
        return [*start, f"- Trained {_stage(about)}"]
    times = [stage["seconds"] for stage in made if "seconds" in stage]
    frozen = any("frozen" in stage for stage in made)
    time = f", {duration(sum(times))}" if len(times) == len(made) else ""
    return [
        *start,
        f"- Trained {sum(stage['step'] for stage in made):,} steps{time} in {len(made)} stages, each begun with the"
        f" averaged weights of the one before{', as far as its line does not say otherwise' if frozen else ''}:",
        *(f"  {number}. {_kind(stage, about)}{_stage(stage)}" for number, stage in enumerate(made, 1)),
    ]


def _kind(stage: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """Says of a stage that was not of the last one's kind what it was."""
    joint, joint_at_last = (about.get("config", {}).get("joint", True) for about in (stage, last))
    return "" if joint == joint_at_last else "*With joint decoding:* " if joint else "*Without joint decoding:* "


def _table(psnr: Mapping[str, float], ms_ssim: Mapping[str, float], pairs: int) -> list[str]:
    """Quality over the SNR for each kind of neighbour."""
    snrs = list(dict.fromkeys(key.split("@")[1] for key in psnr))
    return [
        f"PSNR in dB, AWGN, mean over both views of {pairs} validation pairs (used for choosing, not for training)"
        + (
            f"; last row MS-SSIM (window {MS_SSIM_WINDOW}, {MS_SSIM_SCALES} scales) with the true neighbour:"
            if ms_ssim
            else ":"
        ),
        "",
        "| neighbour | " + " | ".join(f"{snr} dB" for snr in snrs) + " |",
        "|---" * (len(snrs) + 1) + "|",
        *(f"| {kind} | " + " | ".join(f"{psnr[f'{kind}@{snr}']:.2f}" for snr in snrs) + " |" for kind in NEIGHBOURS),
        *(["| true, MS-SSIM | " + " | ".join(f"{ms_ssim[snr]:.4f}" for snr in snrs) + " |"] if ms_ssim else []),
        "",
        "*true*: both links have the SNR; *better*: the other link has 10 dB more; *noiseless*, *absent*: the other"
        " link; *unrelated*: the other view shows another scene.",
        "",
    ]


def model_card(
    name: str,
    codec: Codec,
    about: Mapping[str, Any],
    table: tuple[Mapping[str, float], Mapping[str, float], int] | None = None,
    data: str | None = None,
) -> str:
    """Markdown: what it is, how it was trained, how good it is, what it may be used for.

    about   of the run, and in "before" of the one that it began with; "seconds" of each where known
    table   PSNR by "neighbour@SNR", MS-SSIM by SNR, and the number of pairs that they are means of
    data    the pictures of the training with their licences, as a sentence without a full stop; None: not stated
    """
    encoder, decoder = count(codec.model.encoder), count(codec.model.decoder)
    name_of_preset = about.get("preset", "unknown")
    lines = [
        f"# {name}",
        "",
        f"A joint source-channel codec for pairs of RGB pictures, {geometry.SYMBOLS} complex symbols for one of"
        f" {geometry.HEIGHT} x {geometry.WIDTH}, others in proportion. Hash of the weights `{codec.codec_hash}`.",
        "",
        f"- Preset `{name_of_preset}`{_beside(name_of_preset, codec.config)},"
        f" joint decoding {'on' if codec.config.joint else 'off'};"
        f" encoder {encoder / 1e6:.2f} M parameters, decoder {decoder / 1e6:.2f} M.",
        *_history(about),
        "- Links in training: SNR uniform in -3...14 dB, each view on its own, and as told above.",
        f"- Weights are float16 and computed with in float32; `{WEIGHTS_FILE}`,"
        f" `{ONNX_FILES['encoder']}` and `{ONNX_FILES['decoder']}` hold the same values.",
        "",
    ]
    lines += _table(*table) if table else []
    lines += [
        f"**Pictures and licence.** {f'Trained on {data}' if data else 'Not stated'}.",
        "",
        "**Limits.** Pictures unlike those of the training and views that are not rectified decode worse."
        " Not tested for any safety purpose.",
        "",
    ]
    return "\n".join(lines)
