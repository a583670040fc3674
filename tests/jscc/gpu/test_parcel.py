"""What a job sends home."""

import io
import tarfile
from pathlib import Path

import pytest

from jscc.gpu.parcel import pack_parcel


def test_a_parcel_comes_in_pieces_and_leaves_out_what_is_too_much(tmp_path: Path) -> None:
    for name, size in (("card", 100), ("weights", 50_000), ("state", 900_000), ("notes", 10)):
        (tmp_path / name).write_bytes(bytes([len(name)]) * size)
    names = ("card", "weights", "absent", "state", "notes")
    out = tmp_path / "out"
    left_out = pack_parcel([(f"run/{n}", tmp_path / n) for n in names], out, piece=30_000, total=200_000)
    assert left_out == ["run/state"]
    pieces = sorted(out.iterdir(), key=lambda path: int(path.suffix[1:]))
    assert len(pieces) > 1
    assert all(path.stat().st_size <= 30_000 for path in pieces)
    content = b"".join(path.read_bytes() for path in pieces)
    assert len(content) <= 200_000
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert tar.getnames() == ["run/card", "run/weights", "run/notes"]
        file = tar.extractfile("run/weights")
        assert file is not None
        assert file.read() == (tmp_path / "weights").read_bytes()


def test_a_parcel_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that had more pieces: they would come home as a part of this one. If it fails, that one stays."""
    for name, size in (("first", 90_000), ("second", 9_000)):
        (tmp_path / name).write_bytes(b"0" * size)
    out = tmp_path / "out"
    pack_parcel([("first", tmp_path / "first")], out, piece=30_000)
    assert len(list(out.iterdir())) > 1
    (out / "job.log").touch()
    pack_parcel([("second", tmp_path / "second")], out, piece=30_000)
    assert {path.name for path in out.iterdir()} == {"result.tar.0", "job.log"}

    def full(path: Path, content: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        pack_parcel([("first", tmp_path / "first")], out, piece=30_000)
    assert {path.name for path in out.iterdir()} == {"result.tar.0", "job.log"}
    with tarfile.open(out / "result.tar.0") as tar:
        assert tar.getnames() == ["second"]
