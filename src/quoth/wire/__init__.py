"""Bytes to types and back, one module per protocol. Pure: no I/O, no clock, no environment, no logging."""
