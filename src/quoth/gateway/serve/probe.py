"""`python -m quoth.gateway.serve.probe [URL]`: exit code 0 if the gateway there is ready. For a container's health.

It needs nothing that the gateway does not have, asks the machine it runs on, and so goes through no proxy and does not
judge a certificate.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from urllib.parse import urlsplit

__all__ = ["is_ready"]

# Seconds: less than what a container's engine waits.
_PATIENCE = 2.0


def is_ready(url: str) -> bool:
    """Whether `URL/health/readiness` answers 200."""
    address = urlsplit(url)
    host, port = address.hostname or "127.0.0.1", address.port or 4000
    if address.scheme == "https":
        trusting = ssl._create_unverified_context()  # noqa: S323  (it asks its own machine)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=_PATIENCE, context=trusting
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/health/readiness")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(0 if is_ready(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4000") else 1)
