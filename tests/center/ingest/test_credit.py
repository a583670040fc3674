import math

from center.ingest.credit import Credit


def test_a_frame_beyond_the_credit_is_counted() -> None:
    credit = Credit(2)
    assert [credit.take() for _ in range(4)] == [True, True, False, False]
    assert (credit.unanswered, credit.exceeded) == (4, 2)
    for _ in range(3):
        credit.answer(1.0)
    assert credit.take()


def test_a_frame_was_sent_after_the_answer_whose_credit_it_used() -> None:
    credit = Credit(3)
    for _ in range(3):
        credit.take()
        assert credit.given_at == -math.inf
    for at in (10.0, 11.0, 12.0):
        credit.answer(at)
    given = []
    for _ in range(3):
        credit.take()
        given.append(credit.given_at)
    assert given == [10.0, 11.0, 12.0]


def test_one_frame_at_a_time_has_the_bound_of_three_answers_ago() -> None:
    credit = Credit(3)
    for at in range(1, 9):
        credit.take()
        credit.answer(float(at))
    credit.take()
    assert credit.given_at == 6.0, "the answers of 7 and 8 it need not have heard"


def test_a_sender_without_restraint_keeps_no_list_growing() -> None:
    credit = Credit(3)
    for _ in range(1_000):
        credit.take()
        credit.answer(5.0)
    assert len(credit._answers) <= 3
