"""The whole mechanism of the stack: services, layers with one method, and a typed way to pile them up."""

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

from routewright.reply import Reply

Q = TypeVar("Q")
Inner = TypeVar("Inner")
Next = TypeVar("Next")
Outer_contra = TypeVar("Outer_contra", contravariant=True)
Inner_co = TypeVar("Inner_co", covariant=True)

Service: TypeAlias = Callable[[Q], Awaitable[Reply]]
"""Takes a stage value (Call, Routed or Attempt); its reply has begun when it returns."""


class Layer(Protocol[Outer_contra, Inner_co]):
    """One concern: does its one thing around `forward`."""

    def __call__(self, request: Outer_contra, forward: Service[Inner_co], /) -> Awaitable[Reply]:
        """Answer `request`, as a rule by way of `forward`.

        A coroutine, or what `forward` gives, where the layer has nothing to do: it then costs no frame of its own.
        """
        ...


class Stack(Generic[Q, Inner]):
    """Layers, outermost first; a layer that does not fit under the one above it does not type-check.

    >>> service = Stack.outermost(record).then(decide).then(fallback).over(upstream)   # doctest: +SKIP
    """

    def __init__(self, wrap: Callable[[Service[Inner]], Service[Q]]) -> None:
        self._wrap = wrap

    @classmethod
    def outermost(cls, layer: Layer[Q, Inner]) -> "Stack[Q, Inner]":
        """Begin with the layer that sees a request first and its reply last."""
        return Stack(lambda service: _bind(layer, service))

    def then(self, layer: Layer[Inner, Next]) -> "Stack[Q, Next]":
        """Put the next layer below."""
        return Stack(lambda service: self._wrap(_bind(layer, service)))

    def over(self, leaf: Service[Inner]) -> Service[Q]:
        """Close the stack with the service that really does it."""
        return self._wrap(leaf)


def _bind(layer: Layer[Q, Inner], forward: Service[Inner]) -> Service[Q]:
    call = layer.__call__  # looked up once: it is called for every request

    def service(request: Q) -> Awaitable[Reply]:
        return call(request, forward)

    return service
