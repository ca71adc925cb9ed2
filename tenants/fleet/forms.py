from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from django import forms

from paas.specs import MIB
from tenants.fleet.quota import Quota

GIB = 1024 * MIB
LARGEST = 2**20  # in any of the units: keeps a column from overflowing before check_quota can tell why


def _number(label: str, help_text: str, *, step: str = "1", places: int = 0) -> forms.DecimalField:
    widget = forms.NumberInput(attrs={"inputmode": "decimal", "step": step, "class": "number"})
    return forms.DecimalField(
        label=label, help_text=help_text, min_value=0, max_value=LARGEST, decimal_places=places, widget=widget
    )


class QuotaForm(forms.Form):
    """In the units that people use; `quota` is in those of the columns."""

    memory = _number("Memory, in MiB", "Of all its containers and builds together.")
    swap = _number("Swap, in MiB", "On top of memory. Sleeping apps are kept there.")
    cpu = _number("CPU, in cores", "1.5 is one and a half cores.", step="0.05", places=3)
    pids = _number("Processes", "And threads: each counts.")
    disk = _number(
        "Disk, in GiB", "Takes what is really written. It can grow, never shrink.", step="any", places=2
    )

    def __init__(self, quota: Quota, data: object = None) -> None:
        self.before = quota
        initial = {
            "memory": quota.memory_bytes // MIB,
            "swap": quota.swap_bytes // MIB,
            "cpu": _plain(Decimal(quota.cpu_millis) / 1000),
            "pids": quota.pids,
            "disk": _plain(round(Decimal(quota.disk_bytes) / GIB, 2)),
        }
        super().__init__(data, initial=initial)  # type: ignore[arg-type]

    def quota(self) -> Quota:
        """What was not changed stays exact, although the form shows it rounded."""
        units = {
            "memory": ("memory_bytes", MIB),
            "swap": ("swap_bytes", MIB),
            "cpu": ("cpu_millis", 1000),
            "pids": ("pids", 1),
            "disk": ("disk_bytes", GIB),
        }
        changed = {units[name][0]: int(self.cleaned_data[name] * units[name][1]) for name in self.changed_data}
        return replace(self.before, **changed)


def _plain(value: Decimal) -> Decimal:
    """Without the zeros at its end, and comparable with what is sent."""
    return Decimal(f"{value:f}".rstrip("0").rstrip(".")) if "." in f"{value:f}" else value
