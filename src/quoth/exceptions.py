"""Every exception under the name of the module where users of LiteLLM and openai look for them; they live in
`quoth.errors`."""

from quoth.errors import *  # noqa: F403
from quoth.errors import __all__ as __all__
