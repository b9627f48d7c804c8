"""Metrics for Prometheus: counted per request as plain numbers, put into words when somebody asks.

    metrics = Metrics(workers=1)
    metrics.routes = routes             # and again after a reload
    metrics.over(exchange)              # once for every request
    metrics.render()                    # the page, bytes of CONTENT_TYPE

Labels hold only what the settings know: models, deployments, providers, route templates, statuses. What a caller makes
up is counted under "", and however many there are, lines have a bound.
"""

from __future__ import annotations

from quoth.gateway.metrics.counting import Metrics
from quoth.gateway.metrics.families import CONTENT_TYPE, described

__all__ = ["CONTENT_TYPE", "Metrics", "described"]
