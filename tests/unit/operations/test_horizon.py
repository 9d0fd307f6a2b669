"""Up to which number events are complete."""

from app.operations.feed import Horizon


def test_without_gaps_all_is_given_out_at_once() -> None:
    horizon = Horizon(5)
    assert horizon.advance([6, 7, 8], 0) == 3
    assert horizon.position == 8
    assert horizon.advance([], 0) == 0
    assert not horizon.waits


def test_what_follows_a_gap_waits_until_the_gap_is_closed() -> None:
    horizon = Horizon(5)
    assert horizon.advance([6, 8, 9], 0) == 1
    horizon.note(9, next_transaction=100)
    assert horizon.waits
    assert horizon.advance([8, 9], oldest_running=99) == 0
    assert horizon.advance([7, 8, 9], oldest_running=99) == 3
    assert not horizon.waits


def test_a_gap_is_given_up_once_its_transactions_have_ended() -> None:
    horizon = Horizon(5)
    assert horizon.advance([8], 0) == 0
    horizon.note(8, next_transaction=100)
    assert horizon.advance([8, 10], oldest_running=100) == 1  # the gap before 10 was not there when it was noted
    assert horizon.position == 8
    horizon.note(10, next_transaction=120)
    assert horizon.advance([10], oldest_running=119) == 0
    assert horizon.advance([10], oldest_running=120) == 1


def test_a_later_note_does_not_move_an_earlier_one() -> None:
    horizon = Horizon(0)
    horizon.note(3, next_transaction=10)
    horizon.note(9, next_transaction=50)
    assert horizon.advance([2, 3], oldest_running=10) == 2
