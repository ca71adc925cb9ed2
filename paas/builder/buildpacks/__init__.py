"""One file for each builder that knows a language, all of the same shape: see `shape.Buildpack`.

Add one by copying a sibling: `detect` says why a source is of its kind, `plan` lowers it to steps. Then name it
here, in `paas.builder.config.BUILDERS`, and in docs/reference/builders.md.
"""

from __future__ import annotations

from paas.builder.buildpacks import go, node, php, python, ruby, static
from paas.builder.buildpacks.shape import Bases, Buildpack, Request

# In the order in which they are asked. Many apps of other languages have a package.json for their assets, and
# many apps of any have an index.html.
ALL: tuple[Buildpack, ...] = (ruby, php, python, go, static.built, node, static)
BY_NAME: dict[str, Buildpack] = {pack.NAME: pack for pack in reversed(ALL)}

__all__ = ["ALL", "BY_NAME", "Bases", "Buildpack", "Request"]
