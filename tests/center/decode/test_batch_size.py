"""The size of a batch by the time of an engine on a clock of our own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from center.decode.batch_size import learn
from center.decode.engines import Batch
from tests.center.conftest import FakeEngine


class TimedEngine(FakeEngine):
    """seconds_of: what a batch of a size takes; the first call of a size takes a second more."""

    def __init__(self, seconds_of: Callable[[int], float]) -> None:
        super().__init__()
        self.now, self.seconds_of, self.sizes = 0.0, seconds_of, list[int]()

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        first = len(batch) not in self.sizes
        self.sizes.append(len(batch))
        self.now += self.seconds_of(len(batch)) + first
        return np.zeros((len(batch), 2, 3, 1, 1), np.float32)


CPU: Callable[[int], float] = lambda size: 0.050 * size  # noqa: E731
CPU_WITH_LITTLE_GAIN: Callable[[int], float] = lambda size: 0.004 + 0.050 * size  # noqa: E731
GPU: Callable[[int], float] = lambda size: 0.005 + 0.001 * size  # noqa: E731
LAUNCH_BOUND: Callable[[int], float] = lambda size: 0.005  # noqa: E731


@pytest.mark.parametrize(("seconds_of", "size"), [(CPU, 1), (CPU_WITH_LITTLE_GAIN, 1), (GPU, 32), (LAUNCH_BOUND, 32)])
def test_a_batch_grows_as_long_as_that_saves_time(seconds_of: Callable[[int], float], size: int) -> None:
    engine = TimedEngine(seconds_of)
    assert learn(engine, clock=lambda: engine.now) == size


def test_one_slow_call_does_not_decide() -> None:
    calls = iter(range(10**6))
    engine = TimedEngine(lambda size: GPU(size) + (0.5 if next(calls) % 3 == 0 else 0.0))
    assert learn(engine, clock=lambda: engine.now) == 32


def test_it_does_not_try_what_it_may_not_take() -> None:
    engine = TimedEngine(LAUNCH_BOUND)
    assert learn(engine, most=6, clock=lambda: engine.now) == 4
    assert max(engine.sizes) == 4


def test_a_size_that_fails_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    """The memory of a GPU may hold no batch of 32."""

    class Small(TimedEngine):
        def decode(self, batch: Batch) -> NDArray[np.float32]:
            if len(batch) > 8:
                raise RuntimeError("out of memory")
            return super().decode(batch)

    engine = Small(GPU)
    assert learn(engine, clock=lambda: engine.now) == 8
    assert "batches of 8 are as large as they get: one of 16 fails" in caplog.text


async def test_a_center_learns_it_at_its_start_and_warms_up_to_it(engine: Any, start_center: Any) -> None:
    center = await start_center(batching={"max_size": None})
    assert center.status()["batch"] >= 1
    assert (await start_center(batching={"max_size": 3})).status()["batch"] == 3
