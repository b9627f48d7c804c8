"""Names of LiteLLM's module that Quoth's has not, arguments of openai's client that Quoth's has not, and what takes
their place.

LiteLLM is set up by assigning to its module (`litellm.drop_params = True`, `litellm.max_budget = 5`). A program that
changed only its import would go on assigning, and nothing would come of it, so `quoth` refuses to be assigned these.
"""

from __future__ import annotations

__all__ = ["ARGUMENTS", "NAMES", "SETTINGS", "instead_of", "instead_of_argument"]

_HOOKS = "each answer has .cost, .usage and .attempts; the gateway has hooks, where a CustomLogger works as it is"
_CACHE = "the gateway keeps answers (litellm_settings: {cache: true}), the SDK does not"
_CAP = "a cap is quoth.budget(usd=...), or QUOTH_MAX_USD for a whole process"
_LOG = "set QUOTH_LOG=debug, or use the standard library's logger 'quoth'"
_ROWS = "a provider is a row: quoth.Client(providers=[...]), see docs/providers.md"

# What a program assigns.
_SETTINGS = {
    "pass it to the call, to a quoth.Client or to a quoth.Router": (
        "api_base api_key drop_params fallbacks num_retries"
    ),
    "pass timeout to the call, to a quoth.Client or to a quoth.Router": "request_timeout",
    "pass it to a quoth.Router": (
        "allowed_fails content_policy_fallbacks context_window_fallbacks cooldown_time default_fallbacks"
    ),
    "pass model_group_alias to a quoth.Router": "model_alias_map",
    "pass it to a quoth.Client": "ssl_verify",
    "pass default_headers to a quoth.Client": "headers organization",
    "pass transport to a quoth.Client": "aclient_session client_session",
    "keys come from the environment, or from api_key in a call or a quoth.Client": (
        "anthropic_key azure_key groq_key openai_key openrouter_key together_ai_key"
    ),
    "quirks mend what a provider does not take, see docs/quirks.md": "modify_params",
    "give a class as response_format, and the answer is validated": "enable_json_schema_validation",
    "quoth.get_model_info(model) asks, quoth.register_model({...}) adds": "model_cost",
    "nothing is ever reported to anybody": "telemetry",
    _HOOKS: (
        "callbacks failure_callback input_callback post_call_rules pre_call_rules service_callback success_callback"
    ),
    _CACHE: "cache caching",
    _CAP: "budget_duration max_budget",
    _LOG: "log_raw_request_response set_verbose suppress_debug_info turn_off_message_logging",
    _ROWS: "custom_provider_map",
}
# What it calls, or imports.
_OTHERS = {
    "the gateway has /v1/embeddings, the SDK has no embeddings yet": "aembedding embedding",
    "use completion; the gateway has /v1/completions": "atext_completion text_completion",
    "use completion, which has num_retries": "acompletion_with_retries completion_with_retries",
    "use batch_completion": "batch_completion_models batch_completion_models_all_responses",
    "quoth.token_counter counts; there is no tokenizer": "decode encode",
    "quoth.get_valid_models() lists the models": "model_list",
    "quoth.validate_environment(model) says whether there is a key": "check_valid_key",
    "it is quoth.Stream, or quoth.AsyncStream": "CustomStreamWrapper",
    "the parent of all errors is quoth.QuothError": "OpenAIError",
    "it is quoth.BadRequestError": "InvalidRequestError",
    "it is quoth.APIResponseValidationError": "JSONSchemaValidationError",
    _CACHE: "Cache disable_cache enable_cache update_cache",
    _CAP: "BudgetManager",
    _LOG: "_turn_on_debug",
    _ROWS: "CustomLLM",
}
# What a program gives to a client of openai's, of Anthropic's or of LiteLLM's making.
_ARGUMENTS = {
    "it is api_key": "auth_token azure_ad_token",
    "it is client_cert": "cert",
    "it is default_headers": "extra_headers headers",
    'send it: default_headers={"OpenAI-Organization": ...}': "organization",
    'send it: default_headers={"OpenAI-Project": ...}': "project",
    "it is provider": "custom_llm_provider",
    "it is proxy": "proxies",
    "it is ssl_verify": "verify",
    "it is timeout": "request_timeout",
    "pass extra_query to the call": "default_query",
    "pass it to the call": "extra_body extra_query messages model stream_timeout wire",
    "pass transport, for HTTP of your own: see docs/sdk.md": "aclient_session client_session http_client",
    'Azure speaks OpenAI\'s protocol at base_url="https://RESOURCE.openai.azure.com/openai/v1"': (
        "api_version azure_ad_token_provider azure_deployment azure_endpoint"
    ),
    _CAP: "max_budget",
    _CACHE: "cache caching",
    _HOOKS: "callbacks",
}

ARGUMENTS = {name: way for way, names in _ARGUMENTS.items() for name in names.split()}
SETTINGS = {name: way for way, names in _SETTINGS.items() for name in names.split()}
NAMES = SETTINGS | {name: way for way, names in _OTHERS.items() for name in names.split()}


def instead_of(name: str) -> str:
    """What to use in place of a name of LiteLLM's module, after a colon; nothing if it is no such name."""
    return f": {NAMES[name]}" if name in NAMES else ""


def instead_of_argument(name: str) -> str:
    """The same of an argument of a client."""
    return f": {ARGUMENTS[name]}" if name in ARGUMENTS else ""
