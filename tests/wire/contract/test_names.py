import pytest

from wire.contract.names import check_rig, shown
from wire.runtime.errors import UserError


@pytest.mark.parametrize("name", ["a", "demo", "7", "lab-3.left_wing", "x" * 63])
def test_names_of_rigs(name: str) -> None:
    assert check_rig(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 64, "-a", ".a", "_a", "a b", "a/b", "a\n", "a\0", "\x1b[2J", "é", "\u0661", "a\u2028b"]
)
def test_what_is_no_name_is_refused_in_one_printable_line(name: str) -> None:
    with pytest.raises(UserError, match="is not a name") as refused:
        check_rig(name)
    assert str(refused.value).isprintable()
    assert str(refused.value).isascii()


def test_what_a_stranger_sends_is_shown_short_and_harmless() -> None:
    assert shown("lab") == "'lab'"
    assert shown("a\nERROR forged") == r"'a\nERROR forged'"
    assert len(shown("x" * 10**6)) < 50
