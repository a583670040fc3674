"""What changes from step to step."""

import dataclasses
import json

import pytest

from jscc.train.link_sampling import LinkSampling
from jscc.train.schedule import Schedule
from jscc.train.settings import TrainSettings, completed


def test_patches_first_then_whole_pictures_and_a_cosine() -> None:
    settings = TrainSettings(steps=1000, warm_up=100, lr=1.0, whole_share=0.25)
    assert settings.size_at(749) == (12, (64, 128))
    assert settings.size_at(750) == (4, (128, 256))
    assert settings.lr_at(0) == pytest.approx(0.01)
    assert settings.lr_at(99) > 0.95
    assert settings.lr_at(999) == pytest.approx(0.01)


def test_whole_pictures_may_be_of_several_sizes_at_as_many_pixels_a_step() -> None:
    sizes = ("128x256", "256x512", "512x1024")
    settings = TrainSettings(steps=1000, whole_share=0.25, sizes=sizes)
    assert settings.size_at(749) == (12, (64, 128))
    drawn = [settings.size_at(step) for step in range(750, 1000)]
    assert drawn == [settings.size_at(step) for step in range(750, 1000)]
    counts = {kind: drawn.count(kind) for kind in drawn}
    assert counts.keys() == {(4, (128, 256)), (1, (256, 512)), (1, (512, 1024))}
    assert all(60 <= count <= 107 for count in counts.values())  # four standard deviations around 83
    assert settings.fewest_pairs() == 1
    assert {settings.size_at(step) for step in settings.shares()} == {*counts, (12, (64, 128))}
    assert sum(settings.shares().values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "settings",
    [
        TrainSettings(steps=1, whole_share=1),
        TrainSettings(steps=1, whole_share=0.9),
        TrainSettings(steps=1, whole_share=0.25),
        TrainSettings(steps=1, whole_share=0),
        TrainSettings(steps=2, whole_share=1, sizes=("128x256", "256x512")),
        TrainSettings(steps=2, whole_share=0.25, sizes=("128x256", "256x512")),
    ],
)
def test_of_few_steps_the_shares_are_whole_too(settings: TrainSettings) -> None:
    """--minutes measures them with whatever --steps says, and divides by the time that they take."""
    assert sum(settings.shares().values()) == pytest.approx(1)
    assert all(0 <= step < settings.steps for step in settings.shares())


def test_one_size_is_what_there_was_before() -> None:
    plain = TrainSettings(steps=1000)
    assert plain.shares() == {999: 0.25, 0: 0.75}
    assert plain.fewest_pairs() == 4
    assert all(plain.size_at(step) == Schedule.size_at(plain, step) for step in range(1000))


def test_a_size_that_no_codec_takes_is_named() -> None:
    with pytest.raises(ValueError, match=r"the size 100x200 .* cannot be sent"):
        TrainSettings(sizes=("100x200",))


def test_settings_of_an_older_version_are_completed_with_what_changes_nothing() -> None:
    settings = json.loads(json.dumps(dataclasses.asdict(TrainSettings(lr=1e-3, draws=LinkSampling(absent_other=0.5)))))
    older = {**settings, "draws": {key: value for key, value in settings["draws"].items() if key != "absent_skew"}}
    assert completed(older) == completed(settings) == settings
