"""Who calls, and how much of a door one token may have."""

import pytest

from wire.runtime.errors import UserError
from wire.security.caller import CALLER, Caller, Share
from wire.security.tokens import Principal, Role


def calls_as(name: str | None) -> None:
    """From now on in this test."""
    principal = None if name is None else Principal(name, Role.VIEWER)
    CALLER.set(Caller(principal, lambda _: None))


def test_one_token_leaves_room_for_others_and_has_its_own_back() -> None:
    share = Share(2)
    calls_as("anna")
    give_back = share.take()
    share.take()
    with pytest.raises(UserError, match="'anna' has 2 such calls already; end one of them"):
        share.take()
    calls_as("bert")
    share.take()
    give_back()
    calls_as("anna")
    share.take()


def test_where_nobody_has_a_token_only_the_sum_counts() -> None:
    share = Share(1)
    calls_as(None)
    for _ in range(3):
        share.take()
