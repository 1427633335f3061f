"""The service as an ASGI application: routes, middleware, and how it lives."""

from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.assembly.life import lifespan_of
from app.assembly.parts import Parts, version_here
from app.errors import OnelookError
from app.routes import (
    audit,
    batches,
    calibration,
    calibrations,
    detect,
    docs,
    enroll,
    erasures,
    export,
    galleries,
    health,
    identify,
    identities,
    info,
    keys,
    metrics,
    persons,
    reembeddings,
    style_jobs,
    templates,
    verify,
)
from app.routes.access import access
from app.routes.envelope import Envelope
from app.routes.gate import Gate, GateKeeper
from app.routes.log import Log, make_log
from app.routes.methods import HeadAsGet, methods_by_path
from app.routes.problems import on_error, on_http_exception, on_validation_error
from app.settings import Settings

RESOURCES = (
    *(detect, enroll, batches, verify, identify),
    *(persons, templates, erasures, galleries, identities, export),
    *(style_jobs, audit, keys, calibration, calibrations, reembeddings, health, info, metrics, docs),
)


def create_app(
    settings: Settings, parts: Parts | None = None, *, log: Log | None = None, shared: Path | None = None
) -> FastAPI:
    """The service. Without `parts` the real ones are made when it starts; they are closed when it stops.

    shared: the folder that the processes of this service have together, for counts; None: there is but one.
    """
    log = log or make_log(settings.log_format, settings.log_level)
    app = FastAPI(
        title="Onelook",
        version=version_here(),
        description="Face recognition for office access control: one look enrols, one look answers.",
        dependencies=[Depends(access)],
        lifespan=lifespan_of(settings, parts, log, shared),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.desk, app.state.gate, app.state.metrics = None, Gate(), metrics.Metrics(shared)
    for resource in RESOURCES:
        app.include_router(resource.router)
    app.state.methods = methods_by_path(
        route for resource in RESOURCES for route in resource.router.routes if isinstance(route, Route)
    )
    app.add_exception_handler(OnelookError, on_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_middleware(HeadAsGet)
    app.add_middleware(GateKeeper, gate=app.state.gate)
    app.state.counts = [app.state.metrics]
    app.add_middleware(Envelope, log=log, counts=app.state.counts)
    return app
