"""Which model a home is served by: settled at the start, and never changed but by a cut-over."""

from app.domain.model import Served
from app.errors import Misconfigured
from app.ports import Store, UnitOfWork


def settle_model(store: Store, wanted: str) -> Served:
    """What the home is served by from now on: what its rows say, whatever is wanted, as long as there is a template.

    Raises Misconfigured for a home of several models that does not say by which one it is served. Writes it where the
    rows do not say it yet, or nobody is enrolled.
    """
    with store.read() as uow:
        held, settled = uow.models.served(), _settled(uow, wanted)
    if held == settled:
        return settled
    with store.write() as uow:
        # Another process may have started meanwhile, and enrolled somebody.
        settled = _settled(uow, wanted)
        if uow.models.served() != settled:
            uow.models.serve(settled)
            uow.commit()
    return settled


def _settled(uow: UnitOfWork, wanted: str) -> Served:
    held, models = uow.models.served(), uow.templates.models()
    if held is not None and (models or held.model_id == wanted):
        return held
    if len(models) > 1:
        raise Misconfigured(
            f"this home holds templates of {', '.join(sorted(models))}, and vectors of two models are never compared: "
            "restore a backup from before they were mixed"
        )
    return Served(next(iter(models), wanted))
