"""The model that makes vectors, from `second_opinion.embeddings`: outside the registry, as nothing is routed to it."""

from routewright.catalog.pricing import price_version
from routewright.catalog.registry import Deployment, Model, Tier
from routewright.catalog.served import tariff_of
from routewright.catalog.sources import PriceTable
from routewright.dialects.openai_embeddings import DIALECT
from routewright.settings.catalog import FREE, prices_of
from routewright.settings.load import Settings

USUAL_WINDOW = 8192


def embedding_model(settings: Settings, embeddings: str, *, prices: PriceTable | None = None) -> Model:
    """The model behind `provider/model`, at the price of the price table; one on a server of your own costs nothing."""
    provider_name, _, upstream = embeddings.partition("/")
    provider = settings.providers[provider_name]
    listed = None if provider.local else (prices or prices_of(settings)).lookup(provider_name, upstream)
    tariff = FREE if provider.local else tariff_of(listed)
    deployment = Deployment(
        id=embeddings,
        provider=provider_name,
        dialect=DIALECT,
        base_url=provider.base_url,
        upstream_model=upstream,
        key=settings.keys.get(provider_name),
        concurrency=provider.concurrency,
    )
    return Model(
        name=upstream,
        tier=Tier.BULK,
        context_window=(listed.context_window if listed else None) or USUAL_WINDOW,
        max_output_tokens=1,
        prices=tariff.standard if tariff else None,
        price_version=price_version(tariff) if tariff else "unpriced",
        deployments=(deployment,),
    )
