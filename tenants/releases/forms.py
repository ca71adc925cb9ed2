from __future__ import annotations

from django import forms

from tenants.releases.config import Changes


class ConfigVarForm(forms.Form):
    key = forms.CharField(
        label="Name",
        max_length=128,
        widget=forms.TextInput(
            attrs={"placeholder": "DATABASE_URL", "autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
    )
    value = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 1, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )

    def clean_value(self) -> str:
        """Browsers send a text area's line ends as CR LF."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")


class DotEnvForm(forms.Form):
    """Many at once, as lines of a .env file."""

    lines = forms.CharField(
        label="Lines of a .env file",
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 8,
                "spellcheck": "false",
                "class": "mono",
                "placeholder": "KEY=value\n# comments are left out",
            }
        ),
    )

    def clean_lines(self) -> Changes:
        return dict(_pairs(str(self.cleaned_data["lines"]).splitlines()))


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    found = []
    for number, raw in enumerate(lines, start=1):
        line = raw.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise forms.ValidationError(f"Line {number} has no “=”.")
        found.append((key.strip(), unquoted(value.strip())))
    return found


def unquoted(value: str) -> str:
    """As docker and dotenv read it: quotes around go; in double quotes \\n is a line end."""
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace("\\n", "\n").replace('\\"', '"')
    return value.split(" #", 1)[0].rstrip()


class FormationForm(forms.Form):
    """One number for each process type of the release that serves."""

    def __init__(self, counts: dict[str, int], data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        for name, count in counts.items():
            self.fields[name] = forms.IntegerField(label=name, min_value=0, max_value=20, initial=count)


class AdviceForm(forms.Form):
    """The limit, in bytes, that the page advised."""

    advice = forms.IntegerField(required=False, min_value=0, max_value=2**62)
