from __future__ import annotations

from django import forms
from django.db.models import QuerySet

from tenants.apps.models import App
from tenants.releases.models import Release
from tenants.releases.selectors import serving_release

MOST_RELEASES = 50  # to choose from
_PLAIN = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class LoginForm(forms.Form):
    host = forms.CharField(
        label="Registry",
        max_length=255,
        widget=forms.TextInput(attrs={**_PLAIN, "placeholder": "registry.example:5000", "class": "mono"}),
        help_text="Its host, without https:// and without the name of an image. Docker Hub is docker.io.",
    )
    username = forms.CharField(label="User name", max_length=200, widget=forms.TextInput(attrs=_PLAIN))
    password = forms.CharField(
        label="Password or token",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Kept encrypted, and never shown again. A token that may only do what is needed is best.",
    )


class ImageForm(forms.Form):
    image = forms.CharField(
        label="Image in a registry",
        max_length=300,
        widget=forms.TextInput(attrs={**_PLAIN, "placeholder": "registry.example/shop:v1", "class": "mono"}),
    )


class PushForm(forms.Form):
    version = forms.TypedChoiceField(label="Release", coerce=int)
    image = forms.CharField(
        label="To",
        max_length=300,
        widget=forms.TextInput(attrs={**_PLAIN, "placeholder": "registry.example/shop:v1", "class": "mono"}),
        help_text="With its host and a tag, or the digest that its image has.",
    )

    def __init__(self, app: App, data: object = None, *, version: str = "") -> None:
        """`version` is the one to begin with if the app has it, else what serves."""
        releases = list(_with_image(app).only("app", "version", "note")[:MOST_RELEASES])
        chosen = _asked(app, version) or serving_release(app)
        if chosen and chosen not in releases:
            releases.append(chosen)
        super().__init__(data, initial={"version": chosen.version} if chosen else None)  # type: ignore[arg-type]
        field = self.fields["version"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(release.version, _named(release)) for release in releases]


def _with_image(app: App) -> QuerySet[Release]:
    return app.releases.filter(committed_from="")


def _asked(app: App, version: str) -> Release | None:
    digits = version.isascii() and version.isdecimal() and len(version) < 10
    return _with_image(app).filter(version=int(version)).first() if digits else None


def _named(release: Release) -> str:
    return f"v{release.version}: {release.note[:40]}" if release.note else f"v{release.version}"
