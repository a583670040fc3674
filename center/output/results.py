"""What the center makes: decoded pictures and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wire.views import View


@dataclass(frozen=True, slots=True)
class ViewResult:
    """One view's reconstruction.

    sequence   of its frame, as the camera counts
    snr_db     mean Es/N0 of its link in dB; +inf is noiseless
    picture    uint8 [rows, columns, 3], RGB
    latency    seconds from capture to decoded, by the two machines' clocks
    stages     seconds in each stage: capture, encode, channel, network, pair, batch, decode; those that are known
    psnr_db    dB; None until a reference of this frame was measured against
    ms_ssim    0 to 1; None as above
    reference  uint8 [rows, columns, 3], the untouched picture; None as above
    """

    view: View
    sequence: int
    snr_db: float
    picture: NDArray[np.uint8]
    latency: float
    stages: Mapping[str, float]
    psnr_db: float | None = None
    ms_ssim: float | None = None
    reference: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """One decoded instant of one rig.

    captured_at_ns  capture time of the earlier view, Unix time in nanoseconds
    decoded_at_ns   when the decoder was done, Unix time in nanoseconds
    single          the other view never came; decoded alone
    views           one or two, left first
    """

    rig: str
    captured_at_ns: int
    decoded_at_ns: int
    single: bool
    views: tuple[ViewResult, ...]

    @property
    def moment(self) -> tuple[int, int]:
        """Orders the pairs of one rig; instants of one batch are decoded at the same time."""
        return self.decoded_at_ns, self.captured_at_ns

    @property
    def nbytes(self) -> int:
        """Of its pictures and references."""
        references = (view.reference.nbytes for view in self.views if view.reference is not None)
        return sum(view.picture.nbytes for view in self.views) + sum(references)

    @property
    def measured(self) -> bool:
        """Whether a view met its reference."""
        return any(view.psnr_db is not None for view in self.views)

    def with_figures(
        self, view: View, psnr_db: float, ms_ssim: float | None, reference: NDArray[np.uint8]
    ) -> "DecodedPair":
        """The same pair with what a view was measured to be; see `ViewResult`."""

        def fill(result: ViewResult) -> ViewResult:
            if result.view is not view:
                return result
            return replace(result, psnr_db=psnr_db, ms_ssim=ms_ssim, reference=reference)

        return replace(self, views=tuple(fill(result) for result in self.views))
