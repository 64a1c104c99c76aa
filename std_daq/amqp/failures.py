"""The errors that pika raises when a broker is unreachable, refuses or does not answer, and a text for each."""

import socket
from collections.abc import Iterator

import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from std_daq.amqp.tls import explain_tls_failure

# AMQPConnectorException, the error of a handshake that times out, is not a subclass of AMQPError.
CONNECTION_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
# RabbitMQ's reply if the virtual host does not exist.
NOT_ALLOWED = 530
# With these replies the broker closes a channel or a connection because of what was sent: too long, not well-formed, or
# not implemented.
_BLAMES_THE_MESSAGE = frozenset({311, PRECONDITION_FAILED, *range(501, 507), NOT_ALLOWED, 540, 541})


def is_refusal(error: Exception) -> bool:
    """Return whether broker or client refuses the connection: wrong credentials, no rights, or no trust (TLS).

    Waiting does not help against a refusal, in contrast to a broker that is unreachable.
    """
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


def blames_the_message(error: Exception) -> bool:
    """Return whether the broker closed a channel or a connection because of the message that was sent."""
    if isinstance(error, pika.exceptions.ChannelClosedByBroker | pika.exceptions.ConnectionClosedByBroker):
        return error.reply_code in _BLAMES_THE_MESSAGE
    return False


def describe_failure(error: Exception) -> str:
    """Return a text that says what failed; many of pika's errors have no text but wrap an error that has one."""
    for cause in _causes(error):
        explanation = explain_tls_failure(cause)
        if explanation is not None:
            return explanation
    for cause in _causes(error):
        words = _in_words(cause)
        if words is not None:
            return words
    if isinstance(error, pika.exceptions.IncompatibleProtocolError):
        return "it closed the connection at the greeting: is it one for TLS (amqps://), or no RabbitMQ at all?"
    causes = [str(getattr(cause, "exception", None) or cause or repr(cause)) for cause in error.args]
    return f"{type(error).__name__}: {'; '.join(causes)}" if causes else type(error).__name__


def _in_words(error: BaseException) -> str | None:
    """Return what an error means for whoever looks for the broker; None if only its own text tells."""
    if isinstance(error, pika.exceptions.ProbableAccessDeniedError):
        return "the virtual host in the URL does not exist, or this user has no rights in it"
    if isinstance(error, pika.exceptions.AuthenticationError | pika.exceptions.ProbableAuthenticationError):
        return "it refuses this user or the password (ACCESS_REFUSED)"
    if isinstance(error, pika.exceptions.ConnectionClosedByBroker | pika.exceptions.ChannelClosedByBroker):
        return f"it ended the connection: {error.reply_text}"
    if isinstance(error, socket.gaierror):
        return f"the host is not known ({error.strerror})"
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused: nobody listens there; is the broker running?"
    if isinstance(error, TimeoutError):
        return "it does not answer in time: is the host off, or a firewall between?"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all errors that it wraps; pika wraps errors in several different attributes."""
    yield error
    for cause in (*error.args, getattr(error, "exception", None), *getattr(error, "exceptions", ())):
        if isinstance(cause, BaseException):
            yield from _causes(cause)
