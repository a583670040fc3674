"""The benchmark of many rigs: a center in a process of its own, cameras over real gRPC."""

import math

import pytest

from deploy.bench.load.generator import LoadCamera, Sent
from deploy.bench.rigs import measure, noise_frames, serve_center
from deploy.bench.started import serving
from wire.views import View


@pytest.mark.timeout(120)
def test_pairs_of_all_rigs_are_counted_after_the_first_ones() -> None:
    row = measure(rigs=2, rate=20.0, seconds=1.0, decode_ms=1.0)
    assert row["pairs"] == pytest.approx(20.0, abs=6.0), "one of each rig does not count"
    assert row["decoded"] <= row["pairs"]
    assert math.isfinite(row["cpu_ms_per_pair"])


@pytest.mark.timeout(120)
async def test_a_center_of_its_own_process_takes_its_frames() -> None:
    with serving(serve_center, 0.001, 1) as (pid, port):
        assert pid > 0
        camera = LoadCamera(f"127.0.0.1:{port}", "rig", View.LEFT, noise_frames(), 10.0, Sent())
        try:
            await camera.connect()
        finally:
            await camera.close()


def _dies(ready: object) -> None:
    raise SystemExit(3)


@pytest.mark.timeout(120)
def test_a_service_that_does_not_start_holds_nobody_up() -> None:
    with pytest.raises(EOFError), serving(_dies):  # type: ignore[arg-type]  # a coroutine is meant to be given
        pass
