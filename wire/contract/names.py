"""What a rig may be called, and how names from outside are shown: the one home of both.

A name stands in labels of metrics, in addresses, in JSON and in lines of logs. It is therefore checked before anything
is made of it: configuration, the Hello at the emulator and at the center, references and the page all ask here.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from wire.runtime.errors import UserError

LONGEST_NAME: Final = 63
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")
_LONGEST_SHOWN: Final = 40


def check_rig(name: str) -> str:
    """The name, if it may be one of a rig.

    raises  UserError with one line that shows it shortened and without control characters
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"rig {shown(name)} is not a name; use 1 to {LONGEST_NAME} letters, digits, '_', '.' and '-', no sign first"
        )
    return name


def shown(text: str) -> str:
    """Text of a stranger for one line of a log or an answer: quoted, escaped, shortened.

    Status lines travel in headers: a long or foreign text in one would end the call in another way.
    """
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
    return ascii(short)


def _rig(name: str) -> str:
    try:
        return check_rig(name)
    except UserError as problem:
        raise ValueError(str(problem)) from None


RigName = Annotated[str, AfterValidator(_rig)]
"""For configurations."""
