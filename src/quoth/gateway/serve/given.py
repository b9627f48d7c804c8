"""Settings for the processes: read and judged, with the command line's values laid over the file's."""

from __future__ import annotations

import os.path
import ssl
from collections.abc import Mapping

import msgspec

from quoth.gateway.serve.loading import Loaded, Refusal
from quoth.gateway.serve.messages import Tls
from quoth.gateway.serve.plan import Plan
from quoth.gateway.settings import Network, Problem, Refused, Server, Settings, apart, exposure, load
from quoth.gateway.settings.problems import UNLISTED
from quoth.transport import network as trust
from quoth.transport.ports import TransportFailure

__all__ = ["judged", "unpack"]

# What a caller may ask for where everything at Poe is served: cheap and quick.
_EXAMPLE = "GPT-4.1-nano"
# Of deployments with one and the same flaw, a log names so many.
_MOST_TOLD = 10


def judged(plan: Plan, environment: Mapping[str, str]) -> Loaded | Refusal:
    """The outcome of loading what the plan and the environment name."""
    try:
        settings = load(plan.file, environment, strict=plan.strict)
    except Refused as refused:
        return Refusal([str(problem) for problem in refused.problems])
    server = msgspec.convert({**msgspec.structs.asdict(settings.server), **plan.given}, Server)
    warnings = list(settings.warnings)
    problems = _unreadable(server) + _untrustworthy(settings.network)
    if server.host != settings.server.host:
        before = {
            problem.message
            for problem in exposure(settings.server.host, settings.master_key, settings.weak_key_permitted)
        }
        warnings = [warning for warning in warnings if warning.message not in before]
        for problem in exposure(server.host, settings.master_key, settings.weak_key_permitted):
            (problems if problem.severity == "error" else warnings).append(problem)
    if server.workers != settings.server.workers:
        before = {problem.message for problem in apart(settings.server.workers)}
        warnings = [warning for warning in warnings if warning.message not in before] + apart(server.workers)
    if problems:
        return Refusal([str(problem) for problem in problems])
    return Loaded(
        packed=msgspec.msgpack.encode(msgspec.structs.replace(settings, server=server, warnings=tuple(warnings))),
        host=server.host,
        port=server.port,
        workers=server.workers,
        backlog=server.backlog,
        header_timeout=server.header_timeout,
        drain_delay=settings.quoth.drain_delay,
        drain_timeout=settings.quoth.drain_timeout,
        files=list(settings.source_files),
        warnings=_told(warnings),
        models=len(settings.models),
        example_model=_example(settings),
        has_key=settings.master_key is not None,
        tls=Tls(server.tls_cert, server.tls_key) if server.tls_cert and server.tls_key else None,
        write_timeout=server.write_timeout,
    )


def _told(warnings: list[Problem]) -> list[str]:
    """What the log says. Models that the catalogue does not have are one warning, however many they are."""
    unlisted = [str(problem) for problem in warnings if problem.code == UNLISTED]
    if len(unlisted) < 2:
        return [str(problem) for problem in warnings]
    told = [f"{len(unlisted)} deployments are of models that the catalogue does not have:", *unlisted[:_MOST_TOLD]]
    if len(unlisted) > _MOST_TOLD:
        told.append(f"and {len(unlisted) - _MOST_TOLD} more, which `quoth check` names")
    return [*(str(problem) for problem in warnings if problem.code != UNLISTED), "\n".join(told)]


def _unreadable(server: Server) -> list[Problem]:
    """What is wrong with the certificate's files."""
    if bool(server.tls_cert) != bool(server.tls_key):
        return [Problem("error", "TLS needs a certificate and its key: give both, or neither")]
    if not server.tls_cert or not server.tls_key:
        return []
    files = (server.tls_cert, server.tls_key)
    missing = [Problem("error", f"there is no file {file!r}") for file in files if not os.path.isfile(file)]
    if missing:
        return missing
    try:
        # A key with a password is not asked for it: a gateway starts without anybody watching.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files, password="")
    except (ssl.SSLError, OSError) as error:
        return [Problem("error", f"{files[0]} and {files[1]} are no certificate with its key (PEM): {error}")]
    return []


def _untrustworthy(network: Network) -> list[Problem]:
    """What is wrong with the files of certificates for calls to providers: with them no call would come through."""
    if network.ssl_verify in (True, False) and network.client_cert is None:
        return []
    try:
        trust.context_for(trust.Network(ssl_verify=network.ssl_verify, client_cert=network.client_cert), {})
    except TransportFailure as failure:
        return [Problem("error", f"litellm_settings: {failure}".replace("client_cert", "ssl_certificate"))]
    return []


def _example(settings: Settings) -> str:
    names = [entry.model_name for entry in settings.models]
    exact = [name for name in names if "*" not in name]
    if exact:
        return exact[0]
    return names[0].replace("*", _EXAMPLE) if names else _EXAMPLE


def unpack(packed: bytes) -> Settings:
    return msgspec.msgpack.decode(packed, type=Settings)
