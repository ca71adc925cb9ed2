from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from paas.errors import BadInput
from paas.idle_time import as_written
from paas.specs import MIB
from tenants.accounts.in_force import SET
from tenants.accounts.models import Tenant
from tenants.fleet.models import Machine
from tenants.fleet.quota import Changes, Quota, amount, problems
from tenants.pages import said

GIB = 1024 * MIB
LARGEST = 2**20  # in any of the units: keeps a column from overflowing before check_quota can tell why
# Limit -> how many of its column's units one of the form's is.
UNITS = {
    **{"memory": MIB, "swap": MIB, "cpu": 1000, "pids": 1, "disk": GIB, "io": MIB, "operations": 1},
    **{"containers": 1, "builds": 1, "log": 1024, "store": GIB},
}


class _Number(forms.DecimalField):
    """Python's notations with an exponent (1e3) are none of people's, nor of the command line's."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and "e" in value.casefold():
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


def _number(label: str, help_text: str = "", *, step: str = "1", places: int = 0) -> _Number:
    widget = forms.NumberInput(attrs={"inputmode": "decimal", "step": step, "class": "number"})
    return _Number(
        label=label, help_text=help_text, min_value=0, max_value=LARGEST, decimal_places=places, widget=widget
    )


class QuotaForm(forms.Form):
    """In the units that people use; `changes` is in those of the columns."""

    memory = _number("Memory, in MiB", "Of all its containers and builds together.")
    swap = _number("Swap, in MiB", "On top of memory. Sleeping apps are kept there.")
    cpu = _number("CPU, in cores", "1.5 is one and a half cores.", step="0.05", places=3)
    pids = _number("Processes", "And threads: each counts.")
    disk = _number(
        "Disk, in GiB",
        "65,536 files for each GiB. Takes what is really written. It can grow, never shrink.",
        step="any",
        places=2,
    )
    io = _number("Disk traffic, in MiB a second", "Read, and as many again written. 0 is no limit of its own.")
    operations = _number("Disk operations a second", "Reads, and as many writes. 0 is no limit of its own.")
    containers = _number("Containers", "Processes and one-off commands that run at the same time.")
    builds = _number("Builds at once", "Others wait for their turn.")
    log = _number("Log output, in KiB a second", "Of all its containers together; what is more is dropped.")
    store = _number(
        "Images, sources and logs, in GiB",
        "What is kept for it on the machine's own disk. Builds and pulls above it are refused.",
        step="any",
        places=2,
    )

    sleep = forms.CharField(
        label="Idle apps sleep after",
        help_text="As 30m or 2h, or never. Empty: as the machine is set. What an app says itself wins.",
        required=False,
        max_length=20,
    )

    def __init__(self, tenant: Tenant, data: object = None) -> None:
        self._tenant, quota = tenant, Quota.of(tenant)
        initial = {name: _shown(getattr(quota, SET[name][0]), unit) for name, unit in UNITS.items()}
        sleep = "" if quota.sleep_after is None else as_written(quota.sleep_after)
        super().__init__(data, initial={**initial, "sleep": sleep})  # type: ignore[arg-type]

    def clean_sleep(self) -> int | None:
        try:
            return amount("sleep", self.cleaned_data["sleep"] or "default")
        except BadInput as error:
            raise forms.ValidationError(said(error)) from error

    def clean(self) -> dict[str, Any]:
        """All that is wrong with it at once; set_quota tells what is first."""
        try:
            quota = Quota.of(self._tenant).with_changes(self.changes())
        except BadInput as error:
            raise forms.ValidationError(said(error)) from error
        for wrong in problems(self._tenant, quota, Machine.objects.first()):
            self.add_error(wrong.details["field"], said(wrong))
        return self.cleaned_data

    def changes(self) -> Changes:
        """What was not changed stays exact, although the form shows it rounded."""
        numbers = {name: self.cleaned_data[name] for name in self.changed_data if name in self.cleaned_data}
        return {name: int(value * UNITS[name]) if name in UNITS else value for name, value in numbers.items()}


def _shown(value: int, unit: int) -> Decimal:
    """Without the zeros at its end, and comparable with what is sent."""
    places = {1000: 3, GIB: 2}.get(unit, 0)
    text = f"{round(Decimal(value) / unit, places):f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
