"""When an agent leaves that was told to."""

from __future__ import annotations

from minipipe.agent.leaving import ONCE_S, OUT_OF_REACH_S, Leaving


def test_it_leaves_in_order_when_it_may_and_has_no_worker() -> None:
    leaving = Leaving()
    assert not leaving.wish("SIGTERM", 0.0)
    assert not leaving.is_due(1.0, stays=False, is_connected=True)
    leaving.may = True
    assert not leaving.is_due(100.0, stays=True, is_connected=True)
    assert leaving.is_due(101.0, stays=False, is_connected=True)


def test_it_leaves_at_once_when_that_is_wished_again() -> None:
    leaving = Leaving()
    assert not leaving.wish("SIGTERM", 0.0)
    assert not leaving.wish("SIGTERM", ONCE_S / 2)
    assert leaving.wish("SIGTERM", ONCE_S)


def test_it_does_not_wait_for_a_run_that_is_out_of_reach() -> None:
    leaving = Leaving()
    leaving.wish("SIGTERM", 0.0)
    assert not leaving.is_due(1.0, stays=True, is_connected=False)
    assert not leaving.is_due(4.0, stays=True, is_connected=True)  # it was only for a moment
    assert not leaving.is_due(5.0, stays=True, is_connected=False)
    assert leaving.is_due(5.0 + OUT_OF_REACH_S, stays=True, is_connected=False)
