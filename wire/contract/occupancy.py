"""Who may speak for a view: when a stream gives it up to another one. Pure; time is an argument.

A camera that lost power says no goodbye, and gRPC takes 25 s to miss it. So a view whose stream has been silent for a
while may be taken over, and one that lives may not.
"""

from dataclasses import dataclass
from typing import Final

from wire.contract.handshake import Refusal, StreamRefused

SILENCE_SECONDS: Final = 1.0
"""After that long without a frame a stream gives its view up, unless a service is configured otherwise."""

LEAST_SILENCE_SECONDS: Final = 0.2
"""However short the configured silence is, two cameras that live do not take a view from each other."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The stream that speaks for a view.

    boot_id     of its sender, as in the Hello
    frame_rate  of its sender, frames a second; 0 if it does not know
    heard_at    when its last frame came, or its Hello if none did; seconds on the clock of `now` below
    """

    boot_id: int | None
    frame_rate: float
    heard_at: float

    def silent_at(self, silence: float = SILENCE_SECONDS) -> float:
        """From when on another may take over, seconds: after `silence`, or two frame periods if those are longer."""
        return self.heard_at + max(silence_of(silence, self.frame_rate), LEAST_SILENCE_SECONDS)


def silence_of(seconds: float, frame_rate: float) -> float:
    """After how long without a frame a camera is silent, seconds: as set, or two frame periods if those are longer.

    frame_rate  frames a second; 0 if it is not known
    """
    return max(seconds, 2.0 / frame_rate) if frame_rate > 0.0 else seconds


def take_over(view: str, holder: Holder, boot_id: int, now: float, silence: float = SILENCE_SECONDS) -> str:
    """Whether a newcomer takes a view from the stream that holds it.

    view     for messages, such as "demo/left"
    boot_id  of the newcomer; the holder's own means that the same sender came back
    silence  seconds without a frame after which a holder gives up
    returns  the line with which the holder's stream is to end, with ABORTED
    raises   StreamRefused (taken) if the holder lives
    """
    if holder.boot_id == boot_id:
        return "the same camera opened a newer stream"
    if now >= holder.silent_at(silence):
        return f"silent for {now - holder.heard_at:.1f} s, so another camera took {view}; connect again"
    raise StreamRefused(
        Refusal.TAKEN,
        f"{view} has a camera already; give this one another rig or view, or stop the other",
    )
