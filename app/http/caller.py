"""Who asks: the bearer token of a request, checked by what the root wires in (`app.state.authenticate`)."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.core.caller import Caller
from app.core.errors import MalformedError, UnauthenticatedError
from app.http.authentication_failures import AuthenticationFailures

Authenticate = Callable[[str, str | None], Awaitable[Caller]]
"""Takes a token and the request's id; raises UnauthenticatedError for a token that is none."""

_bearer = HTTPBearer(scheme_name="bearer", description="An API key.", auto_error=False)


async def get_caller(
    request: Request,
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
) -> Caller:
    """Return who asks.

    Raises:
        MalformedError: there is more than one.
        UnauthenticatedError: no bearer token, or one that nobody has.
    """
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    failures: AuthenticationFailures = request.app.state.authentication_failures
    given = request.headers.getlist("authorization")
    if len(given) > 1:  # who reads the first one and who reads the last one would see different callers
        raise MalformedError("Authorization is given twice.")
    scheme, _, token = "".join(given).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        failures.missing()
        raise UnauthenticatedError("Send an API key: Authorization: Bearer KEY.")
    authenticate: Authenticate = request.app.state.authenticate
    try:
        caller = await authenticate(token.strip(), getattr(request.state, "request_id", None))
    except UnauthenticatedError:
        failures.wrong(request.client.host if request.client else None)
        raise
    request.state.caller = caller
    return caller


CallerDep = Annotated[Caller, Depends(get_caller)]
