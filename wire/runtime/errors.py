"""Errors that a user can mend."""

import os

from wire.contract.outcomes import Reason


class UserError(Exception):
    """One clear line that says what is wrong and what to do. Printed without a traceback."""


class FrameError(UserError):
    """A single frame is wrong; the stream goes on.

    reason: the short word for counters; the message is for a person.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def not_installed(library: str | None, extras: str) -> UserError:
    """What to type where an optional library is missing: vergence is on no package index, so from its checkout.

    library  its import name, such as "cv2"
    extras   of pyproject.toml, such as "edge" or "edge,center"
    """
    return UserError(f"{library} is not installed; in a checkout of vergence: pip install '.[{extras}]'")


def cause(error: OSError) -> str:
    """What the system says went wrong, in a few words without a number."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or str(error)).lower()  # the numbers of name look-ups are below 0


def one_line(text: str, longest: int = 400) -> str:
    """Anybody's text for one line of output: without control characters, at most `longest` letters of it."""
    short = text if len(text) <= longest else text[:longest] + "..."
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in short)
