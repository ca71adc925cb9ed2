from __future__ import annotations

from django import forms

from tenants.runs.command import MOST_BYTES


class RunForm(forms.Form):
    command = forms.CharField(
        label="Command",
        max_length=MOST_BYTES,
        widget=forms.TextInput(
            attrs={
                "placeholder": "python manage.py migrate",
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "class": "mono",
            }
        ),
    )
