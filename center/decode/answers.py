"""What cameras and counters are told of a frame."""

from collections.abc import Iterable
from typing import Literal

from center.ingest.frames import Frame
from center.ingest.rigs import Rigs
from center.metrics import Metrics
from center.steady_clock import SteadyClock
from wire.contract.outcomes import Reason
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View


class Answers:
    """Gives frames their answers, and so their credit back. All methods belong to the event loop's thread."""

    def __init__(self, rigs: Rigs, metrics: Metrics, clock: SteadyClock) -> None:
        self._rigs, self._metrics, self._clock = rigs, metrics, clock

    def accept(self, frame: Frame) -> None:
        """It leaves for the decoder; counted when it is decoded."""
        self._answer(frame, link_pb2.OUTCOME_ACCEPTED, "", "")

    def drop(self, frame: Frame, reason: Reason, detail: str) -> None:
        """It will not be decoded."""
        self.count_drop(frame.key.rig, frame.view, "dropped", reason)
        self._answer(frame, link_pb2.OUTCOME_DROPPED, reason, detail)

    def reject(self, frame: Frame, reason: Reason, detail: str) -> None:
        """Its camera must not send such."""
        self.count_drop(frame.key.rig, frame.view, "rejected", reason)
        self._answer(frame, link_pb2.OUTCOME_REJECTED, reason, detail)

    def fail(self, frames: Iterable[Frame], reason: str) -> None:
        """They left for the decoder, and so were answered, and no pictures came back."""
        for frame in frames:
            self.count_drop(frame.key.rig, frame.view, "failed", reason)

    def count_drop(self, rig: str, view: View, outcome: str, reason: str) -> None:
        """outcome: "dropped", "rejected" or "failed"."""
        self._metrics.frames.labels(rig, view, outcome).inc()
        self._metrics.drops.labels(rig, view, reason).inc()
        if (known := self._rigs.get(rig)) is not None:
            known.drops[reason] += 1

    def _answer(
        self, frame: Frame, outcome: "link_pb2.Outcome.ValueType", reason: Reason | Literal[""], detail: str
    ) -> None:
        if (rig := self._rigs.get(frame.key.rig)) is not None:
            rig.pairer.credit(frame.view, self._clock.now())
        frame.answer(frame.sequence, outcome, reason, detail)
