import pytest

from routewright.catalog.registry import Tier
from routewright.catalog.sources import load_prices
from routewright.simulator import PROFILES, succeeds, success_probability

MAKERS = {"claude": "anthropic", "gpt": "openai", "gemini": "google", "deepseek": "deepseek"}
PROMPTS = [f"prompt-{number}" for number in range(2_000)]


def test_every_tier_has_a_model() -> None:
    assert {profile.tier for profile in PROFILES.values()} == set(Tier)


def test_every_model_has_a_real_price() -> None:
    prices = load_prices()
    unpriced = [name for name in PROFILES if prices.lookup(MAKERS[name.split("-")[0]], name) is None]
    assert unpriced == []


@pytest.mark.parametrize("task", Tier)
@pytest.mark.parametrize("model", Tier)
def test_successes_are_as_frequent_as_said(model: Tier, task: Tier) -> None:
    won = sum(succeeds(seed=7, prompt_id=prompt, model_tier=model, task_tier=task) for prompt in PROMPTS)
    assert won / len(PROMPTS) == pytest.approx(success_probability(model, task), abs=0.04)


@pytest.mark.parametrize("task", Tier)
def test_a_stronger_model_succeeds_wherever_a_weaker_one_does(task: Tier) -> None:
    by_strength = sorted(Tier, key=lambda tier: success_probability(tier, task))
    for prompt in PROMPTS[:300]:
        outcomes = [succeeds(seed=7, prompt_id=prompt, model_tier=tier, task_tier=task) for tier in by_strength]
        assert outcomes == sorted(outcomes)


def test_another_seed_makes_other_prompts_hard() -> None:
    def hard(seed: int) -> set[str]:
        return {
            prompt
            for prompt in PROMPTS[:300]
            if not succeeds(seed=seed, prompt_id=prompt, model_tier=Tier.BULK, task_tier=Tier.COMPLEX)
        }

    assert hard(1) == hard(1) != hard(2)
