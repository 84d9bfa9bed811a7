"""A real gateway in a process of its own, and a provider for it: those of the proofs, as most tests call them."""

from routewright.proofs.served import Served, mock_upstream, serving

__all__ = ["Served", "mock_upstream", "serving"]
