"""The emulator over real sockets, with the plainest clients there are."""
