"""The steps of `bin/up`, in order, before and after the processes start. Each does only what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.host import database, first_use, known_bad, prepare, swap
from paas.host.installation import Installation
from paas.host.prepare import Prepared
from paas.host.progress import Progress
from paas.isolation import installed

WIDTH = 112


@dataclass(frozen=True, slots=True)
class Images:
    """What was asked for beside the base image: `runtimes` by name ("node:20", or "all"), `rebuild` all."""

    runtimes: tuple[str, ...] = ()
    rebuild: bool = False


def set_up(
    installation: Installation, environ: Mapping[str, str], progress: Progress, images: Images
) -> Prepared:
    """All that the processes need to start. HostProblem where an installed version lets containers out."""
    with progress.step("Versions of what Berth stands on"):
        bad = installed.known_bad()
        known_bad.demand_sound(bad)
    for line in known_bad.summary(bad, WIDTH):
        progress.say(line)
    with progress.step("User, folders, keys and code"):
        prepared = prepare.prepare(installation, environ)
    wanted = prepared.settings.get("BERTH_SWAP", "0")
    if swap.parse(wanted).size != 0 or swap.exists(installation):
        with progress.step("Swap") as note:
            swap.ensure(installation, wanted, note)
    with progress.step("Base image") as note:
        prepare.base_image(note)
    if images.runtimes or images.rebuild:
        with progress.step("Images of languages") as note:
            prepare.runtimes(images.runtimes, rebuild=images.rebuild, log=note)
    with progress.step("Database and static files"):
        prepare.database(installation, prepared)
    return prepared


def first_steps(
    installation: Installation, prepared: Prepared, progress: Progress, *, example: bool, link: bool
) -> str:
    """With everything answering: a way in and the example; what to tell the person who asked."""
    with progress.step("First administrator"):
        sign_in = first_use.sign_in_link(installation, prepared, link)
    trouble = first_use.example_app(installation, prepared, progress) if example else ""
    summary = first_use.summary(sign_in, trouble)
    database.let_go()
    return summary
