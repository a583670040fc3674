"""Validation pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from jscc.train.validation import read_validation


def test_of_larger_pictures_validation_takes_the_centre(tmp_path: Path) -> None:
    for side, value in (("left", 100), ("right", 200)):
        (tmp_path / side).mkdir()
        picture = np.zeros((300, 530, 3), np.uint8)
        picture[17:282] = value  # 265 x 530 is the largest window of 2:1
        cv2.imwrite(str(tmp_path / side / "0.png"), picture)
        cv2.imwrite(str(tmp_path / side / "1.png"), picture[20:148, 30:286])
    pairs = read_validation(tmp_path)
    assert pairs.shape == (2, 2, 3, 128, 256)
    assert [pairs[:, view].unique().tolist() for view in (0, 1)] == [[pytest.approx(v / 255)] for v in (100, 200)]
