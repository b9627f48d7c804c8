"""What a call costs, beside the openai and litellm packages and bare HTTP clients: `make bench`, `python -m bench`."""
