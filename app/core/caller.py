"""Who asks: every query is scoped by the caller's project."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        project_id: All that the caller sees and makes belongs to this project.
        key_id: The API key that was used, for the log.
        request_id: Correlates the log, the operation and the answer.
    """

    project_id: str
    key_id: str
    request_id: str | None = None
