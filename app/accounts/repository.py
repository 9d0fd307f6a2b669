"""Every select of accounts. Never commits."""

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from app.accounts.models import Account
from app.core.errors import FieldError, InvalidError


class AccountNotFoundError(InvalidError):
    """The spec names an account that the project does not have."""

    code = "account_not_found"
    title = "No such account"


async def account_id(session: AsyncSession, project_id: str, reference: str) -> str:
    """Return the id of the project's account that an id or name stands for.

    Raises:
        AccountNotFoundError: there is none.
    """
    query = select(col(Account.id)).where(
        col(Account.project_id) == project_id, or_(col(Account.id) == reference, col(Account.name) == reference)
    )
    found = (await session.execute(query)).scalars().first()
    if found is None:
        detail = f"there is no account {reference!r}"
        raise AccountNotFoundError(f"There is no account {reference!r}.", [FieldError("/account", detail)])
    return found
