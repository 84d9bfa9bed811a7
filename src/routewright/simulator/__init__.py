"""The built-in provider: real models' names, simulated answers; seeded, offline, and honest about it.

It stands where the transport stands and speaks the wire formats of OpenAI (Chat and Responses), Anthropic and Gemini,
streamed or not, so that everything above it (dialects, layers, ledger) works as it does with a real provider. Every
answer says that it is simulated, in its text and in the header `x-simulated`; tokens, latencies, faults and success
rates are made up. Prices are not: the models bear the names of real ones, which the bundled price table knows.
"""

from routewright.simulator.faults import FaultPlan, FaultRates
from routewright.simulator.profiles import PROFILES, USUAL, ModelProfile, succeeds, success_probability
from routewright.simulator.provider import Simulator

__all__ = [
    "PROFILES",
    "USUAL",
    "FaultPlan",
    "FaultRates",
    "ModelProfile",
    "Simulator",
    "succeeds",
    "success_probability",
]
