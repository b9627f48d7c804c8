"""Settings for the processes: read and judged, with the command line's values laid over the file's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quoth.gateway.serve.loading import Loaded, Refusal
from quoth.gateway.serve.messages import Tls
from quoth.gateway.serve.plan import Plan
from quoth.gateway.settings import Refused, Settings, load

__all__ = ["judged", "unpack"]


def judged(plan: Plan, environment: Mapping[str, str]) -> Loaded | Refusal:
    """The outcome of loading what the plan and the environment name."""
    try:
        settings = load(plan.file, environment, strict=plan.strict)
    except Refused as refused:
        return Refusal([str(problem) for problem in refused.problems])
    server = msgspec.structs.replace(settings.server, **plan.given)
    settings = msgspec.structs.replace(settings, server=server)
    return Loaded(
        packed=msgspec.msgpack.encode(settings),
        host=server.host,
        port=server.port,
        workers=server.workers,
        backlog=server.backlog,
        header_timeout=server.header_timeout,
        drain_delay=settings.quoth.drain_delay,
        drain_timeout=settings.quoth.drain_timeout,
        files=list(settings.source_files),
        warnings=[str(problem) for problem in settings.warnings],
        introduction=[],
        tls=Tls(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None,
    )


def unpack(packed: bytes) -> Settings:
    return msgspec.msgpack.decode(packed, type=Settings)
