"""What each simulated model is like: how fast, and how often right. All numbers are assumptions, not measurements."""

import math
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from msgspec import Struct

from routewright.catalog.registry import Tier
from routewright.simulator.chance import generator

PREFILL_TOKENS_PER_S = 20_000
"""How fast a prompt is read before the first token."""


class Pace(Struct, frozen=True):
    """How long one answer takes."""

    first_token_s: float
    s_per_token: float

    def scaled(self, factor: float) -> "Pace":
        """The same, `factor` times as long."""
        return Pace(self.first_token_s * factor, self.s_per_token * factor)


class ModelProfile(Struct, frozen=True):
    """A simulated model: its tier, the median time to its first token, and how fast it writes."""

    tier: Tier
    first_token_s: float
    tokens_per_s: float

    def pace(self, chance: Random, input_tokens: int) -> Pace:
        """Draw the times of one answer: lognormal, because latencies are never below zero and have a long tail."""
        return Pace(
            chance.lognormvariate(math.log(self.first_token_s), 0.35) + input_tokens / PREFILL_TOKENS_PER_S,
            chance.lognormvariate(0, 0.15) / self.tokens_per_s,
        )


PROFILES: Mapping[str, ModelProfile] = MappingProxyType(
    {
        "claude-opus-4-7": ModelProfile(Tier.COMPLEX, 0.60, 60),
        "gpt-5": ModelProfile(Tier.COMPLEX, 0.80, 70),
        "gemini-2.5-pro": ModelProfile(Tier.COMPLEX, 0.70, 90),
        "claude-sonnet-4-6": ModelProfile(Tier.STANDARD, 0.50, 75),
        "gpt-4.1": ModelProfile(Tier.STANDARD, 0.45, 90),
        "gemini-2.5-flash": ModelProfile(Tier.STANDARD, 0.35, 160),
        "claude-haiku-4-5": ModelProfile(Tier.STRUCTURED, 0.35, 140),
        "gpt-4o": ModelProfile(Tier.STRUCTURED, 0.40, 100),
        "gpt-4.1-mini": ModelProfile(Tier.STRUCTURED, 0.35, 110),
        "deepseek-chat": ModelProfile(Tier.BULK, 0.50, 50),
        "deepseek-v3.2": ModelProfile(Tier.BULK, 0.50, 50),
        "gpt-4o-mini": ModelProfile(Tier.BULK, 0.35, 110),
        "gpt-4.1-nano": ModelProfile(Tier.BULK, 0.25, 180),
    }
)
"""The models that a simulator has unless told otherwise, by the id that a request names."""

USUAL: Mapping[Tier, ModelProfile] = MappingProxyType(
    {
        Tier.COMPLEX: ModelProfile(Tier.COMPLEX, 0.60, 60),
        Tier.STANDARD: ModelProfile(Tier.STANDARD, 0.50, 75),
        Tier.STRUCTURED: ModelProfile(Tier.STRUCTURED, 0.40, 100),
        Tier.BULK: ModelProfile(Tier.BULK, 0.35, 110),
    }
)
"""What a model of each tier is like, for catalogs whose models all answer from the simulator."""

_SUCCESS: Mapping[Tier, Mapping[Tier, float]] = MappingProxyType(
    {
        Tier.COMPLEX: {Tier.COMPLEX: 0.97, Tier.STANDARD: 0.98, Tier.STRUCTURED: 0.98, Tier.BULK: 0.98},
        Tier.STANDARD: {Tier.COMPLEX: 0.78, Tier.STANDARD: 0.96, Tier.STRUCTURED: 0.95, Tier.BULK: 0.97},
        Tier.STRUCTURED: {Tier.COMPLEX: 0.62, Tier.STANDARD: 0.88, Tier.STRUCTURED: 0.97, Tier.BULK: 0.97},
        Tier.BULK: {Tier.COMPLEX: 0.35, Tier.STANDARD: 0.74, Tier.STRUCTURED: 0.82, Tier.BULK: 0.95},
    }
)


def success_probability(model_tier: Tier, task_tier: Tier) -> float:
    """How often a model of one tier does a task of another well: an assumption for demonstrations, measured nowhere."""
    return _SUCCESS[model_tier][task_tier]


def succeeds(*, seed: int, prompt_id: str, model_tier: Tier, task_tier: Tier) -> bool:
    """Whether a model does this task well, simulated.

    A prompt has one difficulty, drawn once for all models: where a weaker model succeeds, one more likely to succeed
    does too. So what a router gains or loses in a demonstration is its choice, never the luck of the draw.
    """
    difficulty = generator(seed, "difficulty", prompt_id).random()
    return difficulty < success_probability(model_tier, task_tier)
