"""Recordings of the shipped decoder."""

from pathlib import Path

import pytest

from center.decode.engines import Engine
from tests.recordings import Record, recorder_in, shipped_engine


@pytest.fixture
def codec_engine() -> Engine:
    return shipped_engine()


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return recorder_in(tmp_path)
