import numpy as np
import pytest

from center.output.quality import FrameKey, Matcher, measure
from wire.views import View


def key(sequence: int, boot_id: int = 1, view: View = View.LEFT, rig: str = "lab") -> FrameKey:
    return FrameKey(rig, view, boot_id, sequence)


def test_they_meet_whichever_comes_first() -> None:
    matcher: Matcher[str, str] = Matcher(keep=4, max_age=5.0)
    assert matcher.reference(key(1), "reference 1", now=0.0) is None
    assert matcher.reconstruction(key(1), "reconstruction 1", now=0.1) == "reference 1"
    assert matcher.reconstruction(key(2), "reconstruction 2", now=0.2) is None
    assert matcher.reference(key(2), "reference 2", now=0.3) == "reconstruction 2"
    assert len(matcher) == 0


def test_another_boot_or_view_is_another_frame() -> None:
    matcher: Matcher[str, str] = Matcher(keep=4, max_age=5.0)
    matcher.reference(key(1), "reference", now=0.0)
    assert matcher.reconstruction(key(1, boot_id=2), "restarted", now=0.0) is None
    assert matcher.reconstruction(key(1, view=View.RIGHT), "other view", now=0.0) is None
    assert matcher.reconstruction(key(1), "the one", now=0.0) == "reference"


def test_what_waits_too_long_is_forgotten() -> None:
    matcher: Matcher[str, str] = Matcher(keep=4, max_age=5.0)
    matcher.reference(key(1), "reference", now=0.0)
    matcher.reconstruction(key(2), "reconstruction", now=1.0)
    assert matcher.expire(now=4.9) == 0
    assert matcher.expire(now=5.0) == 1
    assert matcher.reconstruction(key(1), "too late", now=5.0) is None


def test_only_the_newest_are_kept() -> None:
    matcher: Matcher[str, str] = Matcher(keep=2, max_age=5.0)
    for sequence in (1, 2, 3):
        matcher.reference(key(sequence), f"reference {sequence}", now=0.0)
    assert len(matcher) == 2
    assert matcher.reconstruction(key(3), "x", now=0.0) == "reference 3"
    assert matcher.reconstruction(key(1), "x", now=0.0) is None


def test_a_camera_that_floods_pushes_out_its_own_and_nobody_else_s() -> None:
    matcher: Matcher[str, str] = Matcher(keep=4, max_age=5.0)
    matcher.reference(key(1, rig="lab"), "lab's", now=0.0)
    matcher.reference(key(1, rig="barn", view=View.RIGHT), "barn's", now=0.1)
    for sequence in range(100):
        matcher.reference(key(sequence, rig="barn"), f"flood {sequence}", now=1.0)
    assert len(matcher) == 4
    assert matcher.reconstruction(key(1, rig="lab"), "x", now=1.0) == "lab's"
    assert matcher.reconstruction(key(1, rig="barn", view=View.RIGHT), "x", now=1.0) == "barn's"
    assert matcher.reconstruction(key(99, rig="barn"), "x", now=1.0) == "flood 99"


def test_large_pictures_are_bounded_by_their_bytes() -> None:
    """Sixteen times the memory a picture; the number that are kept says nothing of that."""
    matcher: Matcher[int, int] = Matcher(keep=32, max_age=5.0, most_bytes=100)
    for sequence in range(10):
        matcher.reference(key(sequence), sequence, now=0.0, held=30)
        matcher.reconstruction(key(100 + sequence), sequence, now=0.0, held=40)
    assert len(matcher) == 3 + 2
    assert [matcher.reconstruction(key(sequence), 0, now=0.0) for sequence in (6, 7)] == [None, 7]
    assert [matcher.reference(key(100 + sequence), 0, now=0.0) for sequence in (7, 8)] == [None, 8]


def test_what_was_met_or_forgotten_counts_no_more() -> None:
    matcher: Matcher[int, int] = Matcher(keep=32, max_age=5.0, most_bytes=100)
    for sequence in range(100):
        matcher.reference(key(sequence), sequence, now=float(sequence), held=100)
        if sequence % 3 == 0:
            assert matcher.reconstruction(key(sequence), 0, now=float(sequence)) == sequence
        elif sequence % 3 == 1:
            assert matcher.expire(now=sequence + 5.0) == 1
    matcher.reference(key(1_000), 1_000, now=100.0, held=50)
    matcher.reference(key(1_001), 1_001, now=100.0, held=50)
    assert matcher.reconstruction(key(1_000), 0, now=100.0) == 1_000


def test_one_that_is_larger_than_all_that_may_be_held_stays() -> None:
    matcher: Matcher[int, int] = Matcher(keep=32, max_age=5.0, most_bytes=100)
    matcher.reference(key(1), 1, now=0.0, held=500)
    assert matcher.reconstruction(key(1), 0, now=0.0) == 1


def test_too_many_bytes_cost_the_camera_that_holds_the_most_of_them_too_many_things_that_with_the_most() -> None:
    matcher: Matcher[str, int] = Matcher(keep=9, max_age=5.0, most_bytes=200)
    for sequence in range(6):
        matcher.reference(key(sequence, rig="small"), "small", now=0.0, held=1)
    for sequence in range(9):
        matcher.reference(key(sequence, rig="large"), "large", now=1.0, held=90)
    assert [matcher.reconstruction(key(each, rig="small"), 0, now=1.0) for each in range(6)] == ["small"] * 6
    matcher = Matcher(keep=8, max_age=5.0, most_bytes=200)
    matcher.reference(key(1, rig="large"), "large", now=0.0, held=90)
    for sequence in range(20):
        matcher.reference(key(sequence, rig="small"), "small", now=1.0, held=1)
    assert matcher.reconstruction(key(1, rig="large"), 0, now=1.0) == "large"


def test_where_all_cameras_have_one_the_oldest_goes() -> None:
    matcher: Matcher[str, str] = Matcher(keep=2, max_age=5.0)
    for now, rig in enumerate(("roof", "lab", "barn")):
        matcher.reference(key(1, rig=rig), rig, now=float(now))
    found = [matcher.reconstruction(key(1, rig=rig), "x", now=3.0) for rig in ("roof", "lab", "barn")]
    assert found == [None, "lab", "barn"]


def test_a_perfect_picture_has_ms_ssim_one_and_a_grey_level_off_has_48_db() -> None:
    reference = np.random.default_rng(0).integers(0, 255, (128, 256, 3), np.uint8)
    picture = reference.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    assert measure(picture, reference).ms_ssim == pytest.approx(1.0, abs=1e-6)
    figures = measure(picture + np.float32(1 / 255), reference, with_ms_ssim=False)
    assert figures.psnr_db == pytest.approx(48.13, abs=0.01)
    assert figures.ms_ssim is None


def test_the_picture_is_not_rounded_before_it_is_measured() -> None:
    """Half a grey level everywhere: rounded, the error would be 0 or 1 level."""
    reference = np.full((128, 256, 3), 100, np.uint8)
    picture = np.full((3, 128, 256), 100.5 / 255, np.float32)
    assert measure(picture, reference, with_ms_ssim=False).psnr_db == pytest.approx(54.15, abs=0.01)
