"""What a call costs, beside the openai and litellm packages and the bare HTTP clients: `make bench`, or `python -m bench`."""
