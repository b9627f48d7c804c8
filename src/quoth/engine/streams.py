"""How a stream that has begun comes to its end: whole, with a Completion, or broken, with the error that holds what
arrived."""

from __future__ import annotations

from quoth import errors
from quoth.engine import failures, structured
from quoth.engine.attempts import Answer
from quoth.engine.effects import Failed
from quoth.types import Completion, Warning
from quoth.wire.openai_chat import ErrorFacts, UpstreamError

__all__ = ["ended"]


def ended(answer: Answer, failed: Failed | None = None) -> Completion:
    """The whole answer of a stream of which nothing more will come. Raises StreamInterrupted."""
    reader, trace = answer.reader, answer.trace
    assert reader is not None
    trace.warnings += [warning for warning in reader.warnings if warning not in trace.warnings]
    completion = reader.partial()
    completion._trace = trace
    for choice in completion.choices:
        choice.message._makes = answer.makes
    if reader.complete:
        _validated(answer, completion)
        return completion
    facts: ErrorFacts | None = None
    cause: errors.QuothError | None = None
    if failed is not None:
        why = failed.message
    elif isinstance(reader.failure, UpstreamError):
        facts, why = reader.failure.facts, reader.failure.facts.message
        cause = failures.in_answer(answer.target, reader.failure, reader.headers)
    elif reader.failure is not None:
        why = f"what came cannot be read: {reader.failure}"
    else:
        why = "the connection was closed before the answer was finished"
    error = failures.interrupted(answer.target, why, completion, reader.headers, facts)
    error.attempts = trace.attempts
    raise error from cause


def _validated(answer: Answer, completion: Completion) -> None:
    """A stream cannot be asked again: an answer that does not fit its class is a warning, and `parsed` stays None."""
    if answer.plan.call.output_type is None:
        return
    problem = structured.parsed(completion, answer.plan.call.output_type)
    if problem is not None:
        message = f"the streamed answer does not fit: {problem}"
        answer.trace.warnings.append(Warning("does_not_fit", "response_format", message))
