"""The flow, driven by hand: no sockets, no clock, no chance."""
