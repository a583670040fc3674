"""From a captured frame to a frame for the wire."""

import numpy as np
import pytest

from edge.camera.capture import CapturedFrame
from edge.encode.frames import FrameEncoder
from edge.encode.references import References
from edge.metrics import Metrics
from tests.edge.conftest import NOW_NS, FakeEncoder, counted, settings
from wire.geometry import CHANNELS, PictureSize


@pytest.mark.parametrize("size", ["auto", "as it is"])
@pytest.mark.parametrize(("picture", "budget"), [("128x256", 300), ("256x512", 1_200)])
async def test_a_frame_may_become_as_old_as_its_size_says(size: str, picture: str, budget: int) -> None:
    """With `auto` the camera may show less than `largest_size`, and its pictures take no longer for that."""
    config = settings(size=picture if size != "auto" else size, camera={"kind": "synthetic", "fps": 10})
    metrics = Metrics("demo", "left")
    references = References(config, 1, metrics)
    maker = FrameEncoder(config, FakeEncoder(), references, metrics, clock_ns=lambda: NOW_NS)
    shape = PictureSize.parse(picture)
    shown = np.zeros((shape.rows, shape.columns, CHANNELS), np.uint8)
    young, old = (CapturedFrame(shown, NOW_NS - (budget + by) * 10**6, 0) for by in (-1, 1))
    frame = await maker.make(young, 1, 10.0)
    assert frame is not None
    assert frame.age_budget_ms == budget
    assert await maker.make(old, 2, 10.0) is None
    assert counted(metrics, "drops_total", reason="age") == 1
    maker.close()
    await references.close()
