"""Who may take over a view that somebody sends already: one rule for emulator and center. No clock, no thread.

A camera that lost power says no goodbye, and gRPC takes 25 s to miss it: after a silence another sender may come. A
sender that lives keeps its view.
"""

from enum import Enum, auto
from typing import Final

SILENCE_SECONDS: Final = 1.0
"""After that long without a frame a stream gives its view up, unless the receiver is configured otherwise."""

LEAST_SILENCE_SECONDS: Final = 0.2
"""However it is configured: two senders that live do not take a view from each other."""


class Takeover(Enum):
    """What becomes of the stream that holds a view when another one asks for it."""

    SAME_SENDER = auto()
    """The sender itself has come back before its end was noticed: the old stream ends."""
    SILENT = auto()
    """The holder said nothing for too long: the old stream ends."""
    REFUSED = auto()
    """The holder lives: the new stream is refused."""


def allowed_silence(frame_rate: float, silence: float = SILENCE_SECONDS) -> float:
    """How long a sender may say nothing and keep its view, seconds.

    frame_rate  frames per second that it aims at; 0 if not known. Two frame periods are always allowed
    silence     as configured, seconds
    """
    two_periods = 2.0 / frame_rate if frame_rate > 0.0 else 0.0
    return max(silence, two_periods, LEAST_SILENCE_SECONDS)


def judge(holder_boot_id: int | None, boot_id: int, silent_for: float, allowed: float) -> Takeover:
    """May a sender take a view that another stream holds?

    holder_boot_id, boot_id  of the holder's and the newcomer's Hello
    silent_for               seconds since the holder said something
    allowed                  `allowed_silence` of the holder, seconds
    """
    if holder_boot_id == boot_id:
        return Takeover.SAME_SENDER
    return Takeover.SILENT if silent_for >= allowed else Takeover.REFUSED
