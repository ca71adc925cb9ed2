"""What the dashboard's views share: who asks, and errors shown where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from paas.errors import BadInput, BerthError, Conflict, Refused
from paas.templatetags.berth import sentence

if TYPE_CHECKING:
    from django_htmx.middleware import HtmxDetails

    from tenants.accounts.models import User

P = ParamSpec("P")


class SignedInRequest(HttpRequest):
    user: User
    htmx: HtmxDetails


View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def signed_in(view: Callable[Concatenate[SignedInRequest, P], HttpResponseBase]) -> View[P]:
    """For nobody: the sign-in page, as a whole page even where a part was asked for."""

    @never_cache
    @wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(cast(SignedInRequest, request), *args, **kwargs)
        htmx = cast(SignedInRequest, request).htmx
        if not htmx:
            return redirect_to_login(request.get_full_path())
        to_sign_in = redirect_to_login(htmx.current_url_abs_path or "/")
        return HttpResponse(status=401, headers={"HX-Redirect": to_sign_in.url})

    return checked


@contextmanager
def errors_in(form: BaseForm) -> Iterator[None]:
    """Put what an action refuses at the field that it names, or at the head of the form."""
    try:
        yield
    except (BadInput, Conflict, Refused) as error:
        field = error.details.get("field")
        form.add_error(field if field in form.fields else None, said(error))


def said(error: BerthError) -> str:
    """An error as a page's notice: what and why, then what to do."""
    return " ".join(sentence(text) for text in (error.summary, error.hint) if text)


def form_page(request: HttpRequest, template: str, form: BaseForm, context: dict[str, Any]) -> HttpResponse:
    """A page with a form: 422 when it was sent and something is wrong with it."""
    status = 422 if form.is_bound and not form.is_valid() else 200
    return render(request, template, {"form": form, **context}, status=status)
