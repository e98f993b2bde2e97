"""`/inaetics/v1/image-updates`: units are brought to what the tags of their images mean now, as one rollout."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inaetics.api.replies import read_json, reply
from inaetics.api.rollouts_v1 import entry
from inaetics.api.rollouts_wire import ImageUpdateRequest, RolloutReply
from inaetics.api.services import Services
from inaetics.errors import InaeticsError, NotFound, Unavailable
from inaetics.fleet.images import Manifest
from inaetics.fleet.model import UnitName
from inaetics.fleet.rollout import Rollout
from inaetics.fleet.rollout_desk import RolloutDesk
from inaetics.fleet.rollout_images import Meanings, chosen, pulls
from inaetics.units.image_names import Followed

PATH = "/inaetics/v1/image-updates"


def routes(services: Services) -> list[Route]:
    """The one resource; what it begins is followed and cancelled as every rollout."""
    return [Route(PATH, _Updates(services).begin, methods=["POST"])]


@dataclass(frozen=True, slots=True)
class _Updates:
    _services: Services

    async def begin(self, request: Request) -> Response:
        asked = await read_json(request, ImageUpdateRequest)
        means = await self._meanings(set(chosen(await self._services.snapshot(), asked.names).values()))
        desk, snapshot = RolloutDesk(self._services.store), await self._services.snapshot()
        if asked.plan:
            made = desk.plan_images(snapshot, asked.names, means, at_once=asked.at_once, by=asked.by)
            return await self._plan(made, asked.names)
        made, revision = await desk.begin_images(snapshot, asked.names, means, at_once=asked.at_once, by=asked.by)
        seen = await self._services.seen(revision)
        return reply(RolloutReply(revision=seen, rollout=entry(made, await self._services.snapshot())), 201)

    async def _plan(self, made: Rollout, names: tuple[str, ...]) -> Response:
        layers = await self._layers(made, chosen(await self._services.snapshot(), names))
        snapshot = await self._services.snapshot()
        sizes = pulls(snapshot, made, layers)
        return reply(RolloutReply(revision=snapshot.revision, rollout=entry(made, snapshot, sizes)))

    async def _meanings(self, images: set[Followed]) -> Meanings:
        """What each tag means; an image whose registry does not answer is told with its units."""
        means: dict[Followed, Manifest | InaeticsError] = {}
        for image in sorted(images):
            try:
                means[image] = await self._services.tags.manifest(image)
            except (NotFound, Unavailable) as error:
                means[image] = error
        return means

    async def _layers(self, made: Rollout, images: dict[UnitName, Followed]) -> dict[str, dict[str, int]]:
        """What the digests of a plan are made of, as far as a registry still has them."""
        layers: dict[str, dict[str, int]] = {}
        for step in made.steps:
            for digest in (step.old_image, step.new_image):
                image = images.get(step.unit)
                if digest and image and digest not in layers:
                    try:
                        layers[digest] = dict((await self._services.tags.manifest(image, digest)).layers)
                    except (NotFound, Unavailable):  # the plan is shown without its sizes
                        continue
        return layers
