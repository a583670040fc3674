"""Who calls, for the servicers: set by the door for each call, asked where a name is claimed."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from wire.security.tokens import Denial, Principal, TokenRefused
from wire.views import View


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of this call.

    principal  None where no tokens are asked for: then everybody may do everything
    refused    told of a refusal
    """

    principal: Principal | None
    refused: Callable[[TokenRefused], None]


CALLER: Final[ContextVar[Caller]] = ContextVar("caller")
"""Of the call that a task serves; tasks that it starts inherit it."""


def check_sender(rig: str, view: View) -> None:
    """Hold a camera to its own name.

    raises  TokenRefused if the caller may not send as that view of that rig
    """
    caller = CALLER.get()
    who = caller.principal
    if who is None or who.may_send_as(rig, view):
        return
    own = f"{who.rig}/{who.view.value}" if who.view else f"both views of {who.rig}"
    line = f"the token of '{who.name}' is for {own}; it may not send as {rig}/{view.value}"
    refusal = TokenRefused(Denial.RIG, line)
    caller.refused(refusal)
    raise refusal
