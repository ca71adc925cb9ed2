from __future__ import annotations

from django import forms
from django.db.models import QuerySet

from tenants.accounts.models import Tenant


class TenantField(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Tenant) -> str:
        return f"{obj.name} ({obj.slug})"


class NewAppForm(forms.Form):
    tenant = TenantField(queryset=Tenant.objects.none(), to_field_name="slug", empty_label=None)
    name = forms.CharField(
        max_length=40,
        help_text="Lower-case letters, digits and hyphens. It becomes part of the address.",
        widget=forms.TextInput(
            attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off", "autofocus": True}
        ),
    )
    stage = forms.CharField(
        max_length=20,
        initial="production",
        help_text="Chooses [stages.…] in berth.toml, for example staging.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(self, tenants: QuerySet[Tenant], data: object = None, initial: object = None) -> None:
        super().__init__(data, initial=initial)  # type: ignore[arg-type]
        field = self.fields["tenant"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = tenants
