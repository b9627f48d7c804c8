"""The two transports: proxies, certificates, connections."""
