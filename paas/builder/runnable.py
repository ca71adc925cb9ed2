"""What a buildpack's image says of how it is run, for those who run it without Berth. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from paas.builder.plan import ImageSettings, Plan
from paas.specs import DEFAULT_PORT, ProcessSpec


def runnable(plan: Plan, processes: Sequence[ProcessSpec]) -> Plan:
    """With the command of the web process, or of the first if there is none, and a port for it. Berth itself
    goes by the release. A Dockerfile's image says what the Dockerfile does."""
    if plan.builder == "dockerfile":
        return plan
    main = processes[0]
    said = [f"CMD {json.dumps(list(main.args), ensure_ascii=False)}"]
    image = replace(plan.image, cmd=main.args)
    if main.name == "web":
        port = main.port or DEFAULT_PORT
        said.append(f"ENV PORT={port}")
        image = _listening(image, port)
        # A port that is exposed is what Berth tells every process type that has none of its own.
        if port == DEFAULT_PORT:
            said.append(f"EXPOSE {port}/tcp")
            image = replace(image, exposed_ports=(f"{port}/tcp",))
    last = plan.stages[-1]
    settings = (*last.settings, *((len(last.steps), text) for text in said))
    return replace(plan, image=image, stages=(*plan.stages[:-1], replace(last, settings=settings)))


def _listening(image: ImageSettings, port: int) -> ImageSettings:
    return replace(image, env=tuple((dict(image.env) | {"PORT": str(port)}).items()))
