"""Who calls, for the servicers: set by the door for each call, asked where a name is claimed."""

from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from wire.runtime.errors import UserError
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


class Share:
    """Of a door that all who may come share: how many calls one token may have there at once, so that others get in."""

    def __init__(self, most: int, line: str = "'{name}' has {most} such calls already; end one of them") -> None:
        """line: what one token is told that has so many, with {name} and {most}"""
        self._most, self._line = most, line
        self._of: Counter[str] = Counter()

    def take(self) -> Callable[[], None]:
        """Count the call that this task serves; gives what ends that, which is to be called once.

        raises  UserError if its token has as many already
        """
        caller = CALLER.get(None)
        name = caller.principal.name if caller is not None and caller.principal is not None else ""
        if name and self._of[name] >= self._most:
            raise UserError(self._line.format(name=name, most=self._most))
        self._of[name] += 1

        def give_back() -> None:
            self._of[name] -= 1
            if not self._of[name]:
                del self._of[name]

        return give_back
