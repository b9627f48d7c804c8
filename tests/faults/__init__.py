"""How calls fail: over real sockets, for both clients, streamed and not."""
