"""Batches of training pairs made on the device that holds the pictures; see `window_draws` for what chance decides."""

import torch
from torch import Tensor

from jscc.data import window_draws as draws
from jscc.data.area_resize import area_resize
from jscc.data.batches import Mixture
from jscc.data.device_stereo import second_views
from jscc.data.picture_store import PictureStore


def make_pairs(
    store: PictureStore,
    mixture: Mixture,
    size: tuple[int, int],
    whole_BI: Tensor,
    real_BD: Tensor,
    noise_B3HW: Tensor,
) -> Tensor:
    """Cut, shrink, warp and change pairs: float [B, 2, 3, rows, columns] in [0, 1], for `size` = (rows, columns).

    whole, real  of `jscc.data.window_draws.WindowDraws`, on the store's device
    noise        N(0, 1) of synthetic right views, float [B, 3, rows, columns]

    No value comes back to the host and all shapes are known before, so that it can stand in a CUDA graph.
    """
    extent_B2 = whole_BI[:, draws.EXTENT]
    rows_B, columns_B = whole_BI[:, draws.SIZE].unbind(1)
    tiles = store.tiles(
        whole_BI[:, draws.FIRST], rows_B, columns_B, whole_BI[:, draws.CORNER], draws.reach(size, mixture.scales)
    )
    views_BV3HW = area_resize(tiles, extent_B2[:, 0], extent_B2[:, 1], size)
    left_B3HW, right_B3HW = views_BV3HW.unbind(1)
    synthetic = (real_BD[:, draws.SYNTHETIC] > 0)[:, None, None, None]
    made_B3HW = second_views(left_B3HW, real_BD, mixture.disparity_at(size), noise_B3HW)
    pairs_BV3HW = torch.stack((left_B3HW, torch.where(synthetic, made_B3HW, right_B3HW)), 1)

    flip, contrast, brightness = (
        real_BD[:, index, None, None, None, None] for index in (draws.FLIP, draws.CONTRAST, draws.BRIGHTNESS)
    )
    pairs_BV3HW = torch.where(flip > 0, pairs_BV3HW.flip(1, 4), pairs_BV3HW)
    changed: Tensor = ((pairs_BV3HW - 128) * contrast + 128 + brightness).clamp(0, 255) / 255
    return changed
