"""An image under way: its layers, bottom first, and what is said of how they came to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from paas.builder.plan import ImageSettings
from paas.images import LayerInfo
from paas.oci.config import History, ImageConfig


@dataclass(frozen=True, slots=True)
class Chain:
    """`base` is the digest of the image that it began from; "" where that is none."""

    layers: tuple[str, ...] = ()
    history: tuple[History, ...] = ()
    architecture: str = ""
    base: str = ""

    def on_top(self, info: LayerInfo, title: str) -> Chain:
        """A step without a change makes no layer. One that makes a layer again moves it to the top.

        Overlayfs takes no layer twice, and the upper one hides the lower one whatever is between them.
        """
        history = (*self.history, History(created_by=title, empty_layer=info.files == 0))
        if info.files == 0:
            return replace(self, history=history)
        if info.diff_id in self.layers:
            history = _without_layer(history, self.layers.index(info.diff_id))
        others = tuple(layer for layer in self.layers if layer != info.diff_id)
        return replace(self, layers=(*others, info.diff_id), history=history)

    def saying(self, instructions: Iterable[str]) -> Chain:
        """They change the config alone."""
        said = (History(created_by=instruction, empty_layer=True) for instruction in instructions)
        return replace(self, history=(*self.history, *said))

    def image(self, settings: ImageSettings) -> ImageConfig:
        return ImageConfig(
            diff_ids=self.layers,
            env=settings.env,
            entrypoint=settings.entrypoint,
            cmd=settings.cmd,
            workdir=settings.workdir,
            user=settings.user,
            exposed_ports=settings.exposed_ports,
            stop_signal=settings.stop_signal,
            labels=settings.labels,
            volumes=settings.volumes,
            healthcheck=settings.healthcheck,
            shell=settings.shell,
            author=settings.author,
            history=self.history,
            architecture=self.architecture,
        )


def _without_layer(history: tuple[History, ...], index: int) -> tuple[History, ...]:
    """The history when the layer with this number (bottom first) is gone: its step made none, as it were."""
    makers = [at for at, step in enumerate(history) if not step.empty_layer]
    gone = makers[index] if index < len(makers) else -1
    return tuple(replace(step, empty_layer=True) if at == gone else step for at, step in enumerate(history))
