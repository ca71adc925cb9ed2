from __future__ import annotations

from decimal import Decimal

from django import forms

from tenants.accounts.egress import Rules
from tenants.accounts.models import Egress

BYTES_IN_MBIT = 125_000


class EgressForm(forms.Form):
    """In the units that people use; `rules` is in those of the columns."""

    egress = forms.ChoiceField(
        label="May reach",
        choices=[
            (Egress.OPEN.value, "The internet"),
            (Egress.LIST.value, "Only what is listed"),
            (Egress.NONE.value, "Nothing"),
        ],
        help_text="Of its apps, commands and builds. Port 25 and private networks stay closed.",
    )
    listed = forms.CharField(
        label="List",
        required=False,
        widget=forms.Textarea(attrs={"rows": "4", "class": "mono", "spellcheck": "false"}),
        help_text="A network a line, as 192.0.2.0/24, or with one port, as 192.0.2.7:443.",
    )
    rate = forms.DecimalField(
        label="Rate, in Mbit/s",
        required=False,
        min_value=0,
        max_value=1_000_000,
        decimal_places=3,
        widget=forms.NumberInput(attrs={"inputmode": "decimal", "step": "any", "class": "number"}),
        help_text="What all its containers together may send, to visitors too. Empty: no limit.",
    )

    def __init__(self, rules: Rules, data: object = None) -> None:
        rate = Decimal(rules.egress_rate) / BYTES_IN_MBIT
        initial = {
            "egress": rules.egress.value,
            "listed": "\n".join(rules.egress_list),
            "rate": f"{rate.quantize(Decimal('0.001')):f}".rstrip("0").rstrip(".") if rate else None,
        }
        super().__init__(data, initial=initial)  # type: ignore[arg-type]

    def rules(self) -> Rules:
        listed = tuple(self.cleaned_data["listed"].split())
        rate = int((self.cleaned_data["rate"] or 0) * BYTES_IN_MBIT)
        return Rules(Egress(self.cleaned_data["egress"]), listed, rate)
