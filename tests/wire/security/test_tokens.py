"""Tokens: who is let in, who is not, and what is said."""

import hashlib
import hmac

import pytest

from wire.security import tokens
from wire.security.tokens import Denial, Entry, Principal, Role, TokenBook, TokenRefused
from wire.views import View

CAMERA = Principal("front-left", Role.CAMERA, "front", View.LEFT)
ANNA = Principal("anna", Role.OPERATOR)
TOKENS = {"vgt_camera": CAMERA, "vgt_anna": ANNA}
BOOK = TokenBook(
    Entry(principal, tokens.digest(token), expires=1_000.0 if principal is ANNA else None)
    for token, principal in TOKENS.items()
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_stands_for_its_principal(token: str) -> None:
    assert BOOK.authenticate(token, now=999.9) == TOKENS[token]


@pytest.mark.parametrize(
    ("token", "now", "reason", "line"),
    [
        ("", 0.0, Denial.MISSING, "no token came; send one as 'authorization: Bearer TOKEN'"),
        ("vgt_guess", 0.0, Denial.UNKNOWN, "this token is not known here; use one of this service's token book"),
        ("vgt_anna", 1_000.0, Denial.EXPIRED, "the token of 'anna' has expired; make a new one"),
        ("VGT_ANNA", 0.0, Denial.UNKNOWN, "this token is not known here; use one of this service's token book"),
        ("vgt_anna ", 0.0, Denial.UNKNOWN, "this token is not known here; use one of this service's token book"),
        (
            "\ud800" + "x" * 100_000,
            0.0,
            Denial.UNKNOWN,
            "this token is not known here; use one of this service's token book",
        ),
    ],
)
def test_anything_else_is_refused_in_words(token: str, now: float, reason: Denial, line: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        BOOK.authenticate(token, now)
    assert (refused.value.reason, str(refused.value)) == (reason, line)


def test_the_digest_itself_lets_nobody_in() -> None:
    """Who has read the book has no token."""
    with pytest.raises(TokenRefused):
        BOOK.authenticate(tokens.digest("vgt_camera").hex(), now=0.0)


def test_every_entry_is_compared_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[bytes]()
    real = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for token in ("vgt_camera", "vgt_anna"):
        compared.clear()
        BOOK.authenticate(token, now=0.0)
        assert len(compared) == len(BOOK) == 2
    compared.clear()
    with pytest.raises(TokenRefused):
        BOOK.authenticate("vgt_guess", now=0.0)
    assert len(compared) == 2


def test_an_empty_book_lets_nobody_in() -> None:
    with pytest.raises(TokenRefused):
        TokenBook([]).authenticate("vgt_camera", now=0.0)


@pytest.mark.parametrize(
    ("principal", "rig", "view", "may"),
    [
        (CAMERA, "front", View.LEFT, True),
        (CAMERA, "front", View.RIGHT, False),
        (CAMERA, "back", View.LEFT, False),
        (CAMERA, "fron", View.LEFT, False),
        (Principal("both", Role.CAMERA, "front"), "front", View.RIGHT, True),
        (Principal("both", Role.CAMERA, "front"), "back", View.RIGHT, False),
        (Principal("nobody", Role.CAMERA), "front", View.LEFT, False),
        (ANNA, "front", View.LEFT, False),
        (Principal("odd", Role.OPERATOR, "front", View.LEFT), "front", View.LEFT, False),
    ],
)
def test_a_camera_sends_as_its_own_rig_and_view_only(principal: Principal, rig: str, view: View, may: bool) -> None:
    assert principal.may_send_as(rig, view) is may


def test_tokens_are_random_and_can_be_recognised() -> None:
    made = {tokens.new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(token.startswith("vgt_") and len(token) == 47 and token.isascii() for token in made)


def test_nothing_shows_a_token_or_its_digest() -> None:
    token = tokens.new_token()
    entry = Entry(ANNA, tokens.digest(token))
    book = TokenBook([entry])
    sha256 = hashlib.sha256(token.encode())
    for shown in (repr(entry), repr(book), str(book), repr(Principal("anna", Role.VIEWER))):
        assert token not in shown
        assert sha256.hexdigest() not in shown
        assert repr(sha256.digest()) not in shown
