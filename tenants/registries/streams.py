"""An export as it is downloaded: by the process that has no thread for each reader, however slow that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from paas.errors import Conflict
from tenants.accounts.models import Role
from tenants.apps.access import app_for
from tenants.pages import SignedInRequest
from tenants.registries.access import export_for
from tenants.registries.models import Export, Push
from tenants.sse import streamed

CHUNK = 256 * 1024


@streamed
async def archive(request: SignedInRequest, tenant: str, name: str, export_id: str) -> HttpResponseBase:
    def may() -> Export:
        return export_for(app_for(request.user, tenant, name, Role.DEVELOPER), export_id)

    found = await sync_to_async(may)()
    if found.status != Push.Status.DONE:
        raise Conflict(f"this export is {found.status}", hint="Wait until it is done, or export it again.")
    return StreamingHttpResponse(
        _content(settings.PATHS.exports / found.pk),
        content_type="application/x-tar",
        headers={
            "Content-Length": str(found.size),
            "Content-Disposition": f'attachment; filename="{name}-{found.release}.tar"',
            "Cache-Control": "no-store",
        },
    )


async def _content(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
