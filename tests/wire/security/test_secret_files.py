"""Secrets from files: what is taken, what is refused, and that nothing of them is ever shown."""

import logging
from pathlib import Path

import pytest

from wire.runtime.errors import UserError
from wire.security.secret_files import LONGEST, located, read_secret


def secret(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("data", [b"vgt_abc", b"vgt_abc\n", b"vgt_abc\r\n"])
def test_one_newline_at_the_end_is_not_part_of_it(tmp_path: Path, data: bytes) -> None:
    assert read_secret(secret(tmp_path / "token", data)) == "vgt_abc"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "the file is empty; put the secret into it"),
        (b"\n", "the file is empty; put the secret into it"),
        (b"vgt_abc\n\n", "not one line of printable letters without blanks; put only the secret into it"),
        (b"vgt abc\n", "not one line of printable letters without blanks; put only the secret into it"),
        (b"vgt_abc\0", "not one line of printable letters without blanks; put only the secret into it"),
        ("vgt_\u00e4".encode(), "not one line of printable letters without blanks; put only the secret into it"),
        (b"x" * (LONGEST + 1), "not one line of printable letters without blanks; put only the secret into it"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(tmp_path: Path, data: bytes, line: str) -> None:
    path = secret(tmp_path / "token", data)
    with pytest.raises(UserError) as refused:
        read_secret(path)
    assert str(refused.value) == f"secret {path}: {line}"


@pytest.mark.parametrize(("name", "why"), [("nothing", "no such file or directory"), (".", "is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UserError, match=f"{why}; give a file that this service may read"):
        read_secret(tmp_path / name)


def test_a_secret_that_others_can_read_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_one = secret(tmp_path / "open", b"vgt_abc", 0o644)
    with caplog.at_level(logging.WARNING):
        assert [read_secret(open_one) for _ in range(3)] == ["vgt_abc"] * 3
        read_secret(secret(tmp_path / "shut", b"vgt_abc", 0o400))
    assert [record.message for record in caplog.records] == [
        f"secret {open_one} can be read by others on this host (mode 644); chmod 600"
    ]


@pytest.mark.parametrize("written", ["$CREDENTIALS_DIRECTORY/token", "${CREDENTIALS_DIRECTORY}/token"])
def test_systemds_credentials_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    secret(tmp_path / "token", b"vgt_abc\n", 0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret(written) == "vgt_abc"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(UserError, match="systemd gave no CREDENTIALS_DIRECTORY; start the service by a unit"):
        read_secret(written)


def test_other_paths_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert located("/run/secrets/token") == Path("/run/secrets/token")
    assert located("~/token") == tmp_path / "token"
    assert located("/srv/$HOME/token") == Path("/srv/$HOME/token")
