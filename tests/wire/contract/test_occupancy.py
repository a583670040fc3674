import pytest

from wire.contract.handshake import StreamRefused
from wire.contract.occupancy import Holder, take_over


def test_the_same_sender_takes_over_at_once() -> None:
    assert "newer stream" in take_over("lab/left", Holder(1, 30.0, heard_at=10.0), boot_id=1, now=10.0)


def test_another_sender_waits_for_silence() -> None:
    holder = Holder(1, 30.0, heard_at=10.0)
    with pytest.raises(StreamRefused, match="lab/left has a camera already"):
        take_over("lab/left", holder, boot_id=2, now=10.9)
    line = take_over("lab/left", holder, boot_id=2, now=11.0)
    assert line == "silent for 1.0 s, so another camera took lab/left; connect again"


def test_a_camera_of_few_frames_is_not_taken_for_silent() -> None:
    assert Holder(1, 0.5, heard_at=10.0).silent_at(1.0) == 14.0


def test_two_that_live_do_not_take_a_view_from_each_other() -> None:
    assert Holder(1, 0.0, heard_at=10.0).silent_at(0.0) == 10.2
