"""The token book's file: what is read, what is refused and how, and how changes are followed."""

import hashlib
import logging
import os
from pathlib import Path

import pytest

from wire.runtime.errors import UserError
from wire.security import followed, token_file
from wire.security.token_file import TokenFile
from wire.security.tokens import Denial, Principal, Role, TokenRefused
from wire.views import View


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def entry(token: str, keys: str = "name: anna, role: operator") -> str:
    return f"  - {{{keys}, sha256: '{sha256(token)}'}}\n"


def book(path: Path, *entries: str) -> Path:
    path.write_text("tokens:\n" + "".join(entries), encoding="utf-8")
    return path


def refusal(file: TokenFile, token: str, now: float) -> Denial:
    with pytest.raises(TokenRefused) as refused:
        file.authenticate(token, now)
    return refused.value.reason


def test_a_book_is_read(tmp_path: Path) -> None:
    path = book(
        tmp_path / "tokens.yaml",
        entry("vgt_1", "name: front-left, role: camera, rig: front, view: left"),
        entry("vgt_2", "name: both, role: camera, rig: front"),
        entry("vgt_3", "name: anna@example, role: viewer, expires: 2027-01-31"),
        entry("vgt_4", "name: paul, role: metrics, expires: '2027-01-31T12:00:00+01:00'"),
    )
    made = token_file.load(path)
    assert made.authenticate("vgt_1", 0.0) == Principal("front-left", Role.CAMERA, "front", View.LEFT)
    assert made.authenticate("vgt_2", 0.0) == Principal("both", Role.CAMERA, "front")
    midnight = 1_801_353_600.0  # 2027-01-31 00:00 UTC
    assert made.authenticate("vgt_3", midnight - 0.1).role is Role.VIEWER
    assert made.authenticate("vgt_4", midnight + 11 * 3600 - 0.1).role is Role.METRICS
    for token, now in (("vgt_3", midnight), ("vgt_4", midnight + 11 * 3600)):
        with pytest.raises(TokenRefused, match="expired"):
            made.authenticate(token, now)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tokens: []\nmore: 1\n", "FILE:2: more: unknown key; allowed: tokens"),
        ("", "FILE: tokens: missing; set it"),
        ("tokens:\n" + entry("a", "name: anna"), "FILE:2: tokens.0.role: missing; set it"),
        (
            "tokens:\n" + entry("a", "name: anna, role: king"),
            "FILE:2: tokens.0.role: input should be 'camera', 'viewer', 'operator' or 'metrics' (got 'king')",
        ),
        ("tokens:\n" + entry("a", "name: anna, role: camera"), "FILE:2: tokens.0: role camera needs 'rig'; set it"),
        (
            "tokens:\n" + entry("a", "name: anna, role: viewer, rig: demo"),
            "FILE:2: tokens.0: 'rig' does nothing with role viewer; remove it",
        ),
        (
            "tokens:\n" + entry("a", "name: 'an na', role: viewer"),
            "FILE:2: tokens.0.name: use 1 to 100 letters, digits, '_', '.', '@' and '-', no sign first (got 'an na')",
        ),
        (
            "tokens:\n" + entry("a", "name: anna, role: viewer, expires: tomorrow"),
            "FILE:2: tokens.0.expires: give a day or an instant in UTC, such as 2027-01-31 or 2027-01-31T12:00:00"
            " (got 'tomorrow')",
        ),
        ("tokens:\n" + entry("a") + entry("b"), "FILE: two tokens are called 'anna'; rename one"),
        (
            "tokens:\n" + entry("a") + entry("a", "name: paul, role: viewer"),
            "FILE: 'anna' and 'paul' have the same token; make another one",
        ),
    ],
)
def test_a_wrong_book_is_refused_with_file_line_and_key(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        token_file.load(path)
    assert str(refused.value).replace(str(path), "FILE") == line


def test_a_token_written_in_place_of_its_digest_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("tokens: [{name: anna, role: viewer, sha256: vgt_oops}]\n", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        token_file.load(path)
    assert "vgt_oops" not in str(refused.value)
    assert "give the SHA-256 of the token, 64 hexadecimal digits" in str(refused.value)


def test_a_book_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: cannot be read"):
        TokenFile(tmp_path / "nowhere.yaml")


def test_a_changed_file_counts_within_a_second(tmp_path: Path) -> None:
    path = book(tmp_path / "tokens.yaml", entry("vgt_old"))
    file = TokenFile(path)
    assert file.authenticate("vgt_old", 100.0).name == "anna"
    book(path, entry("vgt_new", "name: paul, role: viewer"))
    assert refusal(file, "vgt_old", 101.0) is Denial.UNKNOWN
    assert file.authenticate("vgt_new", 101.1).name == "paul"


def test_a_file_that_was_exchanged_in_one_move_counts(tmp_path: Path) -> None:
    """As editors and Kubernetes do; the new one may have the size and the time of the old one."""
    path = book(tmp_path / "tokens.yaml", entry("vgt_old"))
    file, former = TokenFile(path), path.stat()
    new = book(tmp_path / "new.yaml", entry("vgt_new"))
    os.utime(new, ns=(former.st_atime_ns, former.st_mtime_ns))
    new.replace(path)
    assert path.stat().st_size == former.st_size
    assert file.authenticate("vgt_new", 100.0).name == "anna"
    assert refusal(file, "vgt_old", 100.1) is Denial.UNKNOWN


def test_the_file_is_looked_at_once_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TokenFile(book(tmp_path / "tokens.yaml", entry("vgt_old")))
    looks = 0
    real = followed._stamp

    def counted(path: Path) -> tuple[int, int, int] | None:
        nonlocal looks
        looks += 1
        return real(path)

    monkeypatch.setattr(followed, "_stamp", counted)
    for hundredth in range(250):
        file.authenticate("vgt_old", 100.0 + hundredth / 100)
    assert looks == 3


def test_a_clock_that_was_set_back_does_not_stop_the_following(tmp_path: Path) -> None:
    path = book(tmp_path / "tokens.yaml", entry("vgt_old"))
    file = TokenFile(path)
    file.authenticate("vgt_old", 1_000_000.0)
    book(path, entry("vgt_new", "name: paul, role: viewer"))
    assert file.authenticate("vgt_new", 5.0).name == "paul"


@pytest.mark.parametrize("broken", ["tokens: [", "tokens: [{name: x}]\n", None])
def test_a_broken_new_file_keeps_the_former_book_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    path = book(tmp_path / "tokens.yaml", entry("vgt_old"))
    file = TokenFile(path)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken, encoding="utf-8")
    with caplog.at_level(logging.INFO):
        for second in range(5):
            assert file.authenticate("vgt_old", 100.0 + 2 * second).name == "anna"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the former one counts on" in caplog.text
    book(path, entry("vgt_new", "name: paul, role: viewer"))
    assert file.authenticate("vgt_new", 200.0).name == "paul"
    assert refusal(file, "vgt_old", 200.1) is Denial.UNKNOWN


@pytest.mark.parametrize("empty", ["tokens:\n", "tokens: []\n", "tokens:\n# nobody\n"])
def test_the_last_token_can_be_withdrawn(tmp_path: Path, empty: str) -> None:
    """What YAML makes of the file then is no list; were that an error, the former book would count on."""
    path = book(tmp_path / "tokens.yaml", entry("vgt_old"))
    file = TokenFile(path)
    assert file.authenticate("vgt_old", 100.0).name == "anna"
    path.write_text(empty, encoding="utf-8")
    assert refusal(file, "vgt_old", 102.0) is Denial.UNKNOWN


def test_a_book_in_systemds_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book(tmp_path / "tokens", entry("vgt_old"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert TokenFile("$CREDENTIALS_DIRECTORY/tokens").authenticate("vgt_old", 0.0).name == "anna"
