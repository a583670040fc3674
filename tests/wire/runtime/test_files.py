import errno
import os
from pathlib import Path

import pytest

from wire.runtime.files import replacing, write_atomically


def test_a_file_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    path, reader = tmp_path / "a.json", tmp_path / "reader"
    write_atomically(path, "öld")
    os.link(path, reader)  # stands for somebody who has the old file open
    write_atomically(path, b"new")
    assert reader.read_text(encoding="utf-8") == "öld"
    assert path.read_bytes() == b"new"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "reader"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write_bytes = tmp_path / "a.json", Path.write_bytes
    write_atomically(path, "old")

    def full(path: Path, data: bytes) -> int:
        write_bytes(path, data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.json", "old")]


def test_a_file_is_on_the_disk_before_its_name_leads_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(number: int) -> None:
        steps.append("fsync")
        fsync(number)

    def note_replace(old: Path, new: Path) -> None:
        steps.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_atomically(tmp_path / "a.json", "new")
    assert steps == ["fsync", "replace"]


def test_what_fails_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write_atomically(path, "old")

    def break_off() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.pt", "old")]
