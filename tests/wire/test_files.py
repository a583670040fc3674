import errno
import os
from pathlib import Path

import pytest

from wire.runtime.files import write_atomically


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
