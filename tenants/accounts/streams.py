"""What changed, told to open pages: messages of the reader's tenants, without content (see paas.live)."""

from __future__ import annotations

import asyncio
import json

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http.response import HttpResponseBase

from paas import live as channels
from paas.errors import Refused
from tenants.accounts.access import tenants_of
from tenants.accounts.models import Tenant, User
from tenants.pages import SignedInRequest
from tenants.sse import HEARTBEAT, Events, event, respond, streamed


def channels_of(user: User, tenant: str = "") -> list[str]:
    """Those of the user's tenants, and an administrator's own; on a page of one tenant, that one's alone."""
    if tenant:
        seen = Tenant.objects.all() if user.is_admin else tenants_of(user)
        return [channels.channel(pk) for pk in seen.filter(slug=tenant).values_list("pk", flat=True)]
    mine = [channels.channel(pk) for pk in tenants_of(user).order_by("pk").values_list("pk", flat=True)]
    return [*mine, channels.MACHINE] if user.is_admin else mine


@streamed
async def live(request: SignedInRequest) -> HttpResponseBase:
    """`tenant` and `app` narrow it to what a page about one app shows."""
    tenant, app = request.GET.get("tenant", ""), request.GET.get("app", "")
    names = await sync_to_async(channels_of)(request.user, tenant)

    def same() -> None:
        if channels_of(User.objects.get(pk=request.user.pk), tenant) != names:
            raise Refused("the memberships have changed")  # the page loads again, and listens to the new ones

    return respond(request, changes(names, app), may=same)


async def changes(names: list[str], app: str = "") -> Events:
    """Events `changed` with what a message holds: {"app": id, "what": kind}; of one app, if one is named."""
    if not names:  # in no tenant yet: nothing to hear until the memberships change
        yield event("ready", {})
        await asyncio.Event().wait()
    client = redis.Redis.from_url(settings.VALKEY_URL)
    async with client, client.pubsub() as subscription:
        await subscription.subscribe(*names)
        # Only what the server has confirmed is heard: whoever reads "ready" misses nothing from then on.
        for _ in names:
            await subscription.get_message(timeout=HEARTBEAT)
        yield event("ready", {})
        while True:
            message = await subscription.get_message(timeout=HEARTBEAT)
            if message is not None and message["type"] == "message":
                data = json.loads(message["data"])
                if app in ("", data.get("app", "")):
                    yield event("changed", data)
