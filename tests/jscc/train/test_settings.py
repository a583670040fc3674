"""What changes from step to step."""

import dataclasses
import json

import pytest

from jscc.train.link_sampling import LinkSampling
from jscc.train.settings import TrainSettings, completed


def test_patches_first_then_whole_pictures_and_a_cosine() -> None:
    settings = TrainSettings(steps=1000, warm_up=100, lr=1.0, whole_share=0.25)
    assert settings.size_at(749) == (12, (64, 128))
    assert settings.size_at(750) == (4, (128, 256))
    assert settings.lr_at(0) == pytest.approx(0.01)
    assert settings.lr_at(99) > 0.95
    assert settings.lr_at(999) == pytest.approx(0.01)


def test_settings_of_an_older_version_are_completed_with_what_changes_nothing() -> None:
    settings = json.loads(json.dumps(dataclasses.asdict(TrainSettings(lr=1e-3, draws=LinkSampling(absent_other=0.5)))))
    older = {**settings, "draws": {key: value for key, value in settings["draws"].items() if key != "absent_skew"}}
    assert completed(older) == completed(settings) == settings
