"""The HTTP face: OpenAI-compatible routes over the same engine and wires as the SDK, which it never imports."""
