"""The paper's Fig. 4: one scene through each system at one SNR, side by side with its numbers."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from jscc.evaluate.links import noise_of
from jscc.evaluate.systems.base import Channel, Pair, Picture, System
from wire import quality

COLUMNS = 2


def show(
    pair: Pair, systems: Mapping[str, System], *, snr_db: float, channel: Channel, seed: int, target: Path
) -> dict[str, tuple[float, float]]:
    """Draw the left view as it was and as each system brings it over.

    systems  by the name to print, in the order of panels; one whose only delta is +inf gets the right view noiseless,
             all others get it at the same SNR
    target   a .png file; its folder must exist
    returns  (PSNR in dB, MS-SSIM) by name
    """
    truth = pair.truth[0]
    found: dict[str, tuple[float, float]] = {}
    panels: list[tuple[str, Picture]] = [("original", truth)]
    for name, system in systems.items():
        other = snr_db + min(system.deltas)
        sent = system.transmit(pair, snr_db, other, channel, noise_of(seed, pair.name, snr_db))
        found[name] = (quality.psnr(sent.pictures[0], truth), quality.ms_ssim(sent.pictures[0], truth))
        panels.append((f"{name}   {found[name][0]:.2f} dB / {found[name][1]:.4f}", sent.pictures[0]))
    rows = -(-len(panels) // COLUMNS)
    with rc_context({"font.size": 9}):
        figure = Figure(figsize=(4.4 * COLUMNS, 2.45 * rows + 0.3), layout="constrained")
        for place, (title, picture) in enumerate(panels):
            axes = figure.add_subplot(rows, COLUMNS, place + 1)
            axes.imshow(picture.transpose(1, 2, 0).clip(0, 1), interpolation="nearest")
            axes.set_title(title, fontsize=9)
            axes.set_axis_off()
        figure.supxlabel(
            f"{pair.name}, left view, {channel} at {snr_db:g} dB. PSNR / {quality.MS_SSIM_DEFINITION}", fontsize=7
        )
        figure.savefig(target, dpi=140)
    return found
