from __future__ import annotations

from zoneinfo import available_timezones

from django import forms

from tenants.accounts.models import ApiToken, Role, User


class ProfileForm(forms.Form):
    name = forms.CharField(
        max_length=120, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    time_zone = forms.ChoiceField(
        choices=lambda: [(name, name.replace("_", " ")) for name in sorted(available_timezones())],
        help_text="Used where your browser does not tell its own.",
    )


class PasswordForm(forms.Form):
    """One field for the new password: it can be shown, which finds more slips than typing it twice."""

    current = forms.CharField(
        label="Current password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    password = forms.CharField(
        label="New password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 10 characters. A few words in a row make a good one.",
    )

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.user = user
        if not user.has_usable_password():
            del self.fields["current"]

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if not self.user.check_password(current):
            raise forms.ValidationError("That is not your current password.")
        return current


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=80, widget=forms.TextInput(attrs={"placeholder": "laptop", "autocomplete": "off"})
    )
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices, initial=ApiToken.Scope.DEPLOY)


class TenantForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="As people say it.")
    slug = forms.CharField(
        label="Short name",
        max_length=20,
        help_text="Part of every address: 2 to 20 lower-case letters and digits, no hyphen. It stays.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class MemberForm(forms.Form):
    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(choices=Role.choices, initial=Role.DEVELOPER)
