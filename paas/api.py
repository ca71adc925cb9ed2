"""The API: parts from each folder of `tenants`, one way to tell errors."""

from __future__ import annotations

import json

from django.db import DataError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger

from paas.errors import BadInput, BerthError, NotFound
from tenants.accounts.api import router as accounts
from tenants.accounts.tokens import TokenAuth, Unauthorized
from tenants.apps.api import router as apps
from tenants.audit.responses import as_json, of_the_database
from tenants.containers.api import router as containers
from tenants.fleet.api import router as fleet
from tenants.fleet.density_api import router as density
from tenants.inspections.api import router as inspections
from tenants.isolation.api import router as isolation
from tenants.registries.api import router as registries
from tenants.releases.api import router as releases
from tenants.runs.api import router as runs
from tenants.store.api import router as store
from tenants.volumes.api import router as volumes


class Reference(Swagger):
    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: object) -> HttpResponse:
        """As ninja does where it is one of Django's apps, which it is not here (paas.settings)."""
        shown = {**self.settings, "url": self.get_openapi_url(api, kwargs)}
        return render(request, self.template, {"swagger_settings": json.dumps(shown), "api": api})


api = NinjaAPI(
    docs=Reference(),
    title="Berth",
    version="1",
    urls_namespace="api",
    description="Send a token as `Authorization: Bearer berth_…`. An app is named by its tenant: `demo/shop`.",
    auth=TokenAuth(),
)
for _router in (
    accounts,
    apps,
    volumes,
    releases,
    store,
    registries,
    containers,
    inspections,
    runs,
    fleet,
    density,
    isolation,
):
    api.add_router("", _router)


@api.exception_handler(BerthError)
def _berth_error(request: HttpRequest, error: BerthError) -> HttpResponse:
    return as_json(error)


@api.exception_handler(Unauthorized)
@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, error: Unauthorized | AuthenticationError) -> HttpResponse:
    known = error if isinstance(error, Unauthorized) else Unauthorized("this needs a valid API token")
    response = as_json(known, status=401)
    response["WWW-Authenticate"] = 'Bearer realm="berth"'
    return response


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """400, as for every wrong input; each field is named, no value is repeated."""
    found = [{"field": _field(e["loc"]), "message": e["msg"]} for e in error.errors]
    summary = "; ".join(f"{e['field']}: {e['message']}" for e in found)
    details = {"field": found[0]["field"], "errors": found} if found else {}
    return as_json(BadInput(summary, hint="See /api/v1/docs for what is allowed.", details=details))


def _field(location: tuple[str | int, ...]) -> str:
    """("body", "body", "changes", "KEY") -> "changes.KEY"."""
    names = [str(part) for part in location if part not in ("body", "query", "path")]
    return ".".join(names) or "body"


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return as_json(BadInput(error.message), status=error.status_code)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return as_json(NotFound("there is nothing at this address", hint="See /api/v1/docs."))


@api.exception_handler(OperationalError)
@api.exception_handler(DataError)
def _database_error(request: HttpRequest, error: OperationalError | DataError) -> HttpResponse:
    known = of_the_database(request, error)
    assert known is not None
    return as_json(known)
