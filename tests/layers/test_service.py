from builders import Below, attempt
from routewright.call import Attempt
from routewright.layers.service import Service, Stack
from routewright.reply import Reply


class Noting:
    """Notes when it is passed, on the way down and at closing."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    async def __call__(self, request: Attempt, forward: Service[Attempt]) -> Reply:
        self._notes.append(f"{self._name} down")
        reply = await forward(request)
        return reply.on_close(lambda _: self._notes.append(f"{self._name} closed"))


async def test_layers_are_passed_outermost_first_and_close_innermost_first() -> None:
    notes: list[str] = []
    service = Stack.outermost(Noting("a", notes)).then(Noting("b", notes)).then(Noting("c", notes)).over(Below())
    (await service(attempt())).close()
    assert notes == ["a down", "b down", "c down", "c closed", "b closed", "a closed"]
