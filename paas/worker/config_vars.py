"""An app's config vars by name, decrypted one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tenants.apps.models import App


class ConfigVars(Mapping[str, str]):
    def __init__(self, app: App) -> None:
        self._vars = app.config_vars

    def __getitem__(self, name: str) -> str:
        found = self._vars.filter(key=name).first()
        if found is None:
            raise KeyError(name)
        return str(found.value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._vars.values_list("key", flat=True))

    def __len__(self) -> int:
        return self._vars.count()
