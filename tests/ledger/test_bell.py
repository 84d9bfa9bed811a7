import threading

from routewright.ledger.bell import Bell


def test_a_bell_that_was_rung_is_heard_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_a_silent_bell_is_waited_for_no_longer_than_told() -> None:
    assert not Bell().wait(0.001)


def test_whoever_waits_is_woken_from_another_thread() -> None:
    bell = Bell()
    ringer = threading.Thread(target=bell.ring)
    ringer.start()
    assert bell.wait(10)
    ringer.join()


def test_a_bell_that_is_hushed_was_never_rung() -> None:
    bell = Bell()
    bell.hush()
    bell.ring()
    bell.hush()
    assert not bell.wait(0)


def test_many_may_ring_at_once_and_none_of_it_is_lost() -> None:
    bell = Bell()
    heard = 0

    def ring() -> None:
        for _ in range(2_000):
            bell.ring()

    ringers = [threading.Thread(target=ring) for _ in range(4)]
    for ringer in ringers:
        ringer.start()
    while any(ringer.is_alive() for ringer in ringers):
        heard += bell.wait(0.001)
    heard += bell.wait(0)
    assert heard >= 1
    assert not bell.wait(0)
