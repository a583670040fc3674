"""Synthetic stereo in batches, on any device: what `jscc.data.synthetic_stereo` does to one picture at a time."""

import torch
from torch import Tensor

from jscc.data import window_draws as draws


def disparity_fields(real_BD: Tensor, size: tuple[int, int], largest: float) -> Tensor:
    """Disparity fields of plausible road scenes, pixels, float [B, rows, columns] in 0...largest.

    real  float [B, REALS] of `jscc.data.window_draws`
    """
    rows, columns = size
    near_B11, far_B11, horizon_B11 = (real_BD[:, index, None, None] for index in (draws.NEAR, draws.FAR, draws.HORIZON))
    height_H1 = torch.linspace(0, 1, rows, device=real_BD.device)[:, None]
    ramp_BH1 = ((height_H1 - horizon_B11) / (1 - horizon_B11)).clamp(0, 1)
    coarse_Brc = real_BD[:, draws.BUMPS].reshape(-1, *draws.COARSE)
    down_BHr = cubic_weights(real_BD[:, draws.BUMP_ROWS], rows, draws.COARSE[0])
    across_BWc = cubic_weights(real_BD[:, draws.BUMP_COLUMNS], columns, draws.COARSE[1])
    bumps_BHW = torch.bmm(torch.bmm(down_BHr, coarse_Brc), across_BWc.transpose(1, 2))
    field_BHW = far_B11 + (near_B11 - far_B11) * ramp_BH1 + bumps_BHW * (0.2 * largest)
    row_H1, column_W = torch.arange(rows, device=real_BD.device)[:, None], torch.arange(columns, device=real_BD.device)
    for box in real_BD[:, draws.BOX].reshape(-1, draws.BOXES, 5).unbind(1):
        top, left, height, width, disparity = (box[:, index, None, None] for index in range(5))
        inside = (row_H1 >= top) & (row_H1 < top + height) & (column_W >= left) & (column_W < left + width)
        field_BHW = torch.where(inside, disparity, field_BHW)
    return field_BHW.clamp(0, largest)


def cubic_weights(sizes_B: Tensor, outputs: int, reach: int) -> Tensor:
    """Weights that enlarge the first `sizes` of `reach` numbers to `outputs`, as `cv2.INTER_CUBIC` does (a = -0.75).

    sizes    float [B], whole numbers in 1...reach
    returns  float [B, outputs, reach]; beyond the ends the end's number is repeated
    """
    a = -0.75
    place_BO = (torch.arange(outputs, device=sizes_B.device) + 0.5) * (sizes_B[:, None] / outputs) - 0.5
    first_BO = place_BO.floor()
    source_R = torch.arange(reach, device=sizes_B.device)
    weights_BOR = torch.zeros((len(sizes_B), outputs, reach), device=sizes_B.device)
    for tap in (-1, 0, 1, 2):
        distance_BO = (place_BO - first_BO - tap).abs()
        inner = ((a + 2) * distance_BO - (a + 3)) * distance_BO.square() + 1
        outer = a * (((distance_BO - 5) * distance_BO + 8) * distance_BO - 4)
        weight_BO = torch.where(distance_BO <= 1, inner, outer)
        index_BO = torch.minimum((first_BO + tap).clamp_min(0), sizes_B[:, None] - 1)
        weights_BOR = weights_BOR + weight_BO[..., None] * (source_R == index_BO[..., None])
    return weights_BOR


def warp_right(left_B3HW: Tensor, disparity_BHW: Tensor) -> Tensor:
    """The right views: right(x) = left(x + d(x)), linear between pixels, beyond the border its reflection.

    left       float [B, 3, H, W]
    disparity  float [B, H, W] >= 0, pixels, below W
    """
    columns = left_B3HW.shape[3]
    place_BHW = torch.arange(columns, device=left_B3HW.device) + disparity_BHW
    first_BHW = place_BHW.floor()
    share_B1HW = (place_BHW - first_BHW)[:, None]
    low, high = (_mirrored(first_BHW.long() + tap, columns)[:, None].expand_as(left_B3HW) for tap in (0, 1))
    return torch.lerp(left_B3HW.gather(3, low), left_B3HW.gather(3, high), share_B1HW)


def _mirrored(index: Tensor, count: int) -> Tensor:
    """Reflects at the border, which itself is not repeated: 0 1 2 ... count-1 count-2 ..."""
    return (count - 1 - (index - (count - 1)).abs()).clamp_min(0)


def second_views(left_B3HW: Tensor, real_BD: Tensor, largest: float, noise_B3HW: Tensor) -> Tensor:
    """Right views of left ones in 0...255, with slightly other exposure, and noise of standard deviation 1."""
    right_B3HW = warp_right(left_B3HW, disparity_fields(real_BD, left_B3HW.shape[2:], largest))  # type: ignore[arg-type]
    gain, offset = (real_BD[:, index, None, None, None] for index in (draws.GAIN, draws.OFFSET))
    return (right_B3HW * gain + offset + noise_B3HW).clamp(0, 255)
