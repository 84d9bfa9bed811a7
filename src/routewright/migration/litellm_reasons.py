"""Why keys of LiteLLM's settings have no counterpart, or need none."""

from collections.abc import Mapping

from routewright.migration.draft import Fate

_ALWAYS = "it is always so"
_CIRCUITS = "circuits find out by themselves when a deployment rests, and for how long"
_RETRIED = "which errors are worth another try is built in; how many is policy.max_retry_attempts"
_OBSERVED = "what happens is told in /metrics, in the log and in the ledger"
_KEYS = "virtual keys are made by `routewright keys create`, with their team, models, limits and budgets"
_LEDGER = "the ledger is always kept; docs/ledger.md says what is in it and for how long"
_ADDRESSES = "the addresses are those of docs/api.md"
_BALANCED = "among deployments of one price, the less loaded of two drawn by chance is taken"
_SECRETS = "secrets are environment variables, or stored by `routewright keys set`"
_ANOTHER_SERVICE = "routewright chooses among models and calls them; this is the work of another service"

_DROPPED: Mapping[str, str] = {
    "include": "one file has all: put the files together first",
    "litellm_settings.success_callback": _OBSERVED,
    "litellm_settings.failure_callback": _OBSERVED,
    "litellm_settings.callbacks": _OBSERVED,
    "litellm_settings.service_callbacks": _OBSERVED,
    "litellm_settings.audit_log_callbacks": _OBSERVED,
    "litellm_settings.langfuse_default_tags": _OBSERVED,
    "litellm_settings.set_verbose": "`server.log_requests` logs a line for each request",
    "litellm_settings.json_logs": "the log is JSON wherever it is no terminal",
    "litellm_settings.cache_params": "the cache of answers has nothing of the kind (docs/caching.md)",
    "litellm_settings.cache": "nothing is kept unless cache.routes or cache.keys say so",
    "litellm_settings.mcp_aliases": _ANOTHER_SERVICE,
    "litellm_settings.guardrails": _ANOTHER_SERVICE,
    "litellm_settings.default_team_settings": _KEYS,
    "litellm_settings.default_internal_user_params": _KEYS,
    "litellm_settings.max_internal_user_budget": "no budget counts by user; teams, keys and tags have budgets",
    "litellm_settings.internal_user_budget_duration": "no budget counts by user; teams, keys and tags have budgets",
    "litellm_settings.max_end_user_budget": "no budget counts by user; teams, keys and tags have budgets",
    "litellm_settings.default_key_generate_params": _KEYS,
    "litellm_settings.upperbound_key_generate_params": _KEYS,
    "litellm_settings.key_generation_settings": _KEYS,
    "router_settings.routing_strategy": _BALANCED,
    "router_settings.routing_strategy_args": _BALANCED,
    "router_settings.allowed_fails": _CIRCUITS,
    "router_settings.allowed_fails_policy": _CIRCUITS,
    "router_settings.cooldown_time": _CIRCUITS,
    "router_settings.disable_cooldowns": _CIRCUITS,
    "router_settings.retry_policy": _RETRIED,
    "router_settings.model_group_retry_policy": _RETRIED,
    "router_settings.retry_after": "pauses are drawn by chance and grow; a Retry-After of the provider is kept to",
    "router_settings.max_fallbacks": "a request makes at most 8 attempts",
    "router_settings.enable_tag_filtering": "tags count money; they do not choose deployments",
    "router_settings.tag_filtering_match_any": "tags count money; they do not choose deployments",
    "router_settings.provider_budget_config": "no budget counts by provider; models, keys, teams and tags have budgets",
    "router_settings.set_verbose": "`server.log_requests` logs a line for each request",
    "router_settings.debug_level": "`server.log_requests` logs a line for each request",
    "router_settings.cache_responses": "answers are kept if cache.routes or cache.keys say so",
    "general_settings.database_url": (
        "the ledger is a file unless ledger.database_url names a PostgreSQL database, which must be one of its own; "
        "keys and budgets in LiteLLM's are made anew by `routewright keys create`"
    ),
    "general_settings.database_connection_pool_limit": "the ledger takes two connections",
    "general_settings.database_connection_timeout": "while its database does not answer, events wait in the journal",
    "general_settings.allow_requests_on_db_unavailable": "keys are known in memory; docs/keys.md says for how long",
    "general_settings.store_model_in_db": "models are in the settings file, which is followed while the gateway runs",
    "general_settings.alerting": "alerts go to the log, a webhook and Slack",
    "general_settings.alerting_threshold": "alerts are about budgets; slow answers are in /metrics",
    "general_settings.alert_types": "alerts are about budgets; all else is in /metrics and the log",
    "general_settings.alerting_args": "alerts are about budgets; all else is in /metrics and the log",
    "general_settings.alert_to_webhook_url": "alerts.webhook is one address",
    "general_settings.max_parallel_requests": "providers.NAME.concurrency, or the `concurrency` of a key, says it",
    "general_settings.global_max_parallel_requests": "the gateway takes what its memory and its processor allow",
    "general_settings.background_health_checks": _CIRCUITS,
    "general_settings.health_check_interval": _CIRCUITS,
    "general_settings.disable_spend_logs": _LEDGER,
    "general_settings.store_prompts_in_spend_logs": "ledger.log_content keeps how system prompts begin, not requests",
    "general_settings.maximum_spend_logs_retention_period": "ledger.retention_days says it in days",
    "general_settings.maximum_spend_logs_retention_interval": "pruning is done once an hour",
    "general_settings.pass_through_endpoints": _ADDRESSES,
    "general_settings.allowed_routes": _ADDRESSES,
    "general_settings.public_routes": _ADDRESSES,
    "general_settings.forward_client_headers_to_llm_api": "only Anthropic's version and betas go on",
    "general_settings.salt_key": "virtual keys are checked with access.secret",
    "general_settings.custom_auth": _KEYS,
    "general_settings.enable_jwt_auth": _KEYS,
    "general_settings.litellm_jwtauth": _KEYS,
    "general_settings.ui_access_mode": "keys and budgets are looked at by `routewright keys` and `budgets`",
    "general_settings.key_management_system": _SECRETS,
    "general_settings.key_management_settings": _SECRETS,
    "general_settings.completion_model": "a request names its model, or `auto`",
    "general_settings.enforce_user_param": "requests need not say whose they are",
    "default_team_settings": _KEYS,
    "credential_list": "no entry that could be kept names it, or it has no counterpart",
    "callback_settings": _OBSERVED,
    "guardrails": _ANOTHER_SERVICE,
    "mcp_servers": _ANOTHER_SERVICE,
    "mcp_tools": _ANOTHER_SERVICE,
    "vector_store_registry": _ANOTHER_SERVICE,
    "search_tools": _ANOTHER_SERVICE,
    "prompts": _ANOTHER_SERVICE,
    "agent_list": _ANOTHER_SERVICE,
    "files_settings": _ANOTHER_SERVICE,
    "finetune_settings": _ANOTHER_SERVICE,
    "model_list": "it is no entry with a model_name and a litellm_params.model",
}
_KEPT: Mapping[str, str] = {
    "litellm_settings.drop_params": "what changes no answer is left out; policy.drop_unsupported names what else may",
    "litellm_settings.turn_off_message_logging": f"{_ALWAYS}: no message is kept, unless ledger.log_content is set",
    "litellm_settings.redact_user_api_key_info": f"{_ALWAYS}: no key is ever logged",
    "router_settings.enable_pre_call_checks": f"{_ALWAYS}: models that cannot hold a request are passed over",
}
REASONS: Mapping[str, tuple[Fate, str]] = {
    **{path: (Fate.CHANGED, why) for path, why in _KEPT.items()},
    **{path: (Fate.DROPPED, why) for path, why in _DROPPED.items()},
}
"""Dotted path → what became of it, and why. Told last, of what nobody told of before."""

IN_PARAMS: Mapping[str, str] = {
    "rpm": "what a deployment takes is learned from the provider's headers and its 429s",
    "tpm": "what a deployment takes is learned from the provider's headers and its 429s",
    "weight": _BALANCED,
    "timeout": "the time for a whole answer is policy.response_timeout_ms, for all models",
    "max_retries": "tries are policy.max_retry_attempts, for all models",
    "num_retries": "tries are policy.max_retry_attempts, for all models",
    "api_version": "the address that is called needs none",
    "drop_params": "what changes no answer is left out; policy.drop_unsupported names what else may",
    "mock_response": "answers are made up by `routewright serve --simulate` only",
    "tags": "requests and keys have tags; deployments have none",
    "organization": "a provider's key says whose it is",
    "extra_headers": "no headers of one's own are sent to a provider",
    "headers": "no headers of one's own are sent to a provider",
    "*": "routewright sets nothing of this kind for a deployment; a request may",
}
"""Why a key of `litellm_params` has no counterpart; `*` for all others, as in the next."""
IN_INFO: Mapping[str, str] = {
    "id": "a deployment is called provider/model",
    "mode": "it answers, as all models do that do not make vectors",
    "*": "of what describes a model, prices, limits and capabilities are kept",
}
