"""Routing: which deployment of a model group is called, when, how often, and what is called when all of it fails.

Pure like the rest of the engine: a call is a flow (`routed`) that yields effects; clock, chance and locks are
arguments. `Routes` hold what is known between calls.
"""

from quoth.engine.routing.candidates import Candidate
from quoth.engine.routing.deployments import Deployment, deployment_from
from quoth.engine.routing.journey import Controls, Journey, Try, routed
from quoth.engine.routing.options import Options, cycles, options_from
from quoth.engine.routing.routes import Group, Problem, Routes, problems

__all__ = [
    "Candidate",
    "Controls",
    "Deployment",
    "Group",
    "Journey",
    "Options",
    "Problem",
    "Routes",
    "Try",
    "cycles",
    "deployment_from",
    "options_from",
    "problems",
    "routed",
]
