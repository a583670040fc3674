from wire.contract.occupancy import Takeover, allowed_silence, judge


def test_a_sender_of_few_frames_is_not_taken_for_silent() -> None:
    assert allowed_silence(frame_rate=0.5, silence=1.0) == 4.0
    assert judge(1, 2, silent_for=3.9, allowed=4.0) is Takeover.REFUSED
    assert judge(1, 2, silent_for=4.0, allowed=4.0) is Takeover.SILENT


def test_two_that_live_do_not_take_a_view_from_each_other() -> None:
    assert allowed_silence(frame_rate=0.0, silence=0.0) > 0.1


def test_the_sender_itself_is_let_in_at_once() -> None:
    assert judge(1, 1, silent_for=0.0, allowed=9.0) is Takeover.SAME_SENDER
