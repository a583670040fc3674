"""What a stream may send: frames without an answer, and what that tells of their age."""

import math
from collections import deque


class Credit:
    """Counts one stream's unanswered frames; no clock, no thread.

    granted  frames that may be unanswered at once

    A sender that keeps to it has heard all but `granted` - 1 answers to its earlier frames before it sends one. So a
    frame that used the credit of an answer left its camera after that answer: `given_at` is a bound on its age that no
    clock but ours is needed for.
    """

    def __init__(self, granted: int) -> None:
        self.granted = granted
        self.unanswered = 0
        """Frames on which the sender waits."""
        self.exceeded = 0
        """Frames that came without credit, in the stream's life."""
        self.given_at = -math.inf
        """When the credit of the frame that came last was given, seconds; -inf for the first ones."""
        self._taken = 0
        self._answers: deque[float] = deque()

    def take(self) -> bool:
        """A frame came. returns whether there was credit for it"""
        self.unanswered += 1
        self._taken += 1
        if self._taken > self.granted and self._answers:
            self.given_at = self._answers.popleft()
        if self.unanswered <= self.granted:
            return True
        self.exceeded += 1
        return False

    def answer(self, now: float) -> None:
        """A frame is answered and gives its credit back. now: seconds on our clock"""
        self.unanswered -= 1
        self._answers.append(now)
        if len(self._answers) > self.granted:
            self._answers.popleft()
