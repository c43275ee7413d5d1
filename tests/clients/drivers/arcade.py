"""Call tools of arcade-posthog-api by name. They are functions of its one module."""

import asyncio
import os

import arcade_posthog_api.tools as client
from arcade_tdk import ToolContext
from calls import serve

CONTEXT = ToolContext(
    secrets=[
        {"key": "POSTHOG_SERVER_URL", "value": os.environ["POSTHOG_HOST"]},
        {"key": "POSTHOG_PERSONAL_API_KEY", "value": os.environ["POSTHOG_API_KEY"]},
    ]
)


async def _call(name, arguments):
    if "mode" in arguments:
        arguments["mode"] = client.ToolMode(arguments["mode"])
    return await getattr(client, name)(CONTEXT, **arguments)


asyncio.run(serve(_call))
