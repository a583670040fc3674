"""Errors that a user can mend."""


class Problem(Exception):
    """One clear line that says what is wrong and what to do. Printed without a traceback."""


class FrameProblem(Problem):
    """A single frame is wrong; the stream goes on.

    reason: the short word for counters (docs/errors.md lists them); the message is for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
