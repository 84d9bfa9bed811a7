import asyncio

import pytest

from routewright.gateway.server import AGAIN_AFTER_S, follow_steadily
from routewright.testing import FakeClock


def test_who_follows_something_begins_again_after_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    clock, begun_at = FakeClock(), list[float]()

    async def follow() -> None:
        begun_at.append(clock.monotonic())
        if len(begun_at) == 1:
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async def main() -> None:
        following = asyncio.create_task(follow_steadily(follow))
        await asyncio.sleep(10)
        following.cancel()

    clock.run(main())
    assert begun_at == [0, AGAIN_AFTER_S]
    assert "follow failed, and begins again" in caplog.text
