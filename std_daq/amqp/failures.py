"""What pika raises where a broker is not there, goes away, refuses or does not answer; and the same in words."""

from collections.abc import Iterator

import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from std_daq.amqp.tls import explain_tls_failure

# A handshake that is not answered in time ends in an error that does not descend from AMQPError.
CONNECTION_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)

ACCESS_REFUSED = 403
NOT_FOUND = 404
PRECONDITION_FAILED = 406
# The answer for a virtual host that the broker does not have.
NOT_ALLOWED = 530


def is_refusal(error: Exception) -> bool:
    """Return whether the broker does not let us in, or is not to be trusted, in contrast to not being there."""
    if isinstance(error, pika.exceptions.ConnectionClosedByBroker):
        return error.reply_code in {ACCESS_REFUSED, NOT_ALLOWED}
    if any(explain_tls_failure(cause) for cause in _causes(error)):
        return True
    return isinstance(
        error,
        pika.exceptions.AuthenticationError
        | pika.exceptions.ProbableAuthenticationError
        | pika.exceptions.ProbableAccessDeniedError,
    )


def describe_failure(error: Exception) -> str:
    """Say what happened; pika's errors often have no text of their own but those that they wrap."""
    for cause in _causes(error):
        explanation = explain_tls_failure(cause)
        if explanation is not None:
            return explanation
    if isinstance(error, pika.exceptions.IncompatibleProtocolError):
        return "it hung up at the greeting: is it one for TLS (amqps://), or no RabbitMQ at all?"
    causes = [str(getattr(cause, "exception", None) or cause or repr(cause)) for cause in error.args]
    return f"{type(error).__name__}: {'; '.join(causes)}" if causes else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it wraps, of which pika has several ways."""
    yield error
    for cause in (*error.args, getattr(error, "exception", None), *getattr(error, "exceptions", ())):
        if isinstance(cause, BaseException):
            yield from _causes(cause)
