"""The change feed in memory."""

from app.domain.person import Change
from app.store.memory.rows import Transaction


class MemoryChanges:
    """Fits `ports.Changes`."""

    def __init__(self, uow: Transaction) -> None:
        self._uow = uow

    def head(self) -> int:
        return self._uow.rows().head()

    def since(self, seq: int, limit: int) -> list[Change]:
        # The feed has no gaps here, so that seq n lies at place n - 1.
        return self._uow.rows().changes[seq : seq + limit]

    def epoch(self) -> int:
        return 0
