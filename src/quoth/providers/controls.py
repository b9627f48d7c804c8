"""Control keywords: what steers a call and never travels to a provider. A closed list; every other keyword travels."""

from __future__ import annotations

__all__ = ["CONTROLS", "INERT", "MOCKS", "ON_THE_CLIENT"]

CONTROLS = {
    "additional_drop_params": "parameters to leave out, dotted paths allowed; each is a warning",
    "allowed_openai_params": "parameters to send even where a row says that the provider refuses them",
    "api_base": "the base URL; also base_url",
    "api_key": "the key",
    "base_url": "the base URL; also api_base",
    "client": "a Client or AsyncClient to make the call with",
    "context_window_fallback_dict": "{model: larger model}, used when a prompt is too long",
    "custom_llm_provider": "the provider of a bare model name",
    "disable_quirks": "names of quirks to switch off",
    "drop_params": "leave out, with a warning, what a provider is known to refuse, instead of raising",
    "extra_headers": "HTTP headers to send; also headers",
    "extra_query": "parameters for the query of the URL",
    "fallbacks": "models to call when this one fails: names, or objects with model and any keyword of their own",
    "headers": "HTTP headers to send; also extra_headers",
    "max_retries": "another name of num_retries",
    "mock_delay": "seconds to wait before a mock answers",
    "mock_response": "the answer to give without calling anybody",
    "mock_timeout": "True: fail with a Timeout without calling anybody, after the timeout if one was given",
    "mock_tool_calls": "the tool calls to answer with, without calling anybody",
    "num_retries": "how often one target is tried again (2)",
    "request_timeout": "another name of timeout",
    "strict": "refuse, before sending, whatever the catalogue doubts",
    "stream_timeout": "the timeout of a streamed call, in place of timeout",
    "timeout": "seconds for the whole call, or quoth.Timeouts",
    "wire": 'the protocol: "openai_chat", "openai_responses" or "anthropic_messages"; by the model if left out',
}
MOCKS = ("mock_delay", "mock_response", "mock_timeout", "mock_tool_calls")
# Said in a call, these would reach only the connections that are not open yet; so they are a client's.
ON_THE_CLIENT = ("client_cert", "proxy", "ssl_verify")

# Keywords of LiteLLM that mean nothing here. They are taken, so that calls written for it run, and answered with a
# warning.
INERT = frozenset(
    (
        "api_version azure base_model cache caching complete_response deployment_id "
        "enable_json_schema_validation ensure_alternating_roles hf_model_name input_cost_per_second "
        "input_cost_per_token litellm_call_id litellm_logging_obj litellm_session_id litellm_trace_id "
        "logger_fn merge_reasoning_content_in_choices model_info "
        "mock_testing_content_policy_fallbacks mock_testing_context_fallbacks mock_testing_fallbacks "
        "model_list no-log organization output_cost_per_second output_cost_per_token preset_cache_key "
        "proxy_server_request retry_policy retry_strategy rpm shared_session tags text_completion tpm "
        "use_in_pass_through verbose"
    ).split()
)
