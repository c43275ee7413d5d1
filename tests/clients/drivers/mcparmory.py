"""Call tools of mcparmory-posthog by name, over the Model Context Protocol, as an agent does."""

import asyncio
import os
import sys
from pathlib import Path

from calls import serve
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

SERVER = Path(sys.executable).parent / "mcparmory-posthog"


async def _main():
    environment = {
        **os.environ,
        "BASE_URL": os.environ["POSTHOG_HOST"],
        "BEARER_TOKEN": os.environ["POSTHOG_API_KEY"],
    }
    async with Client(StdioTransport(str(SERVER), ["--no-retry"], env=environment)) as client:

        async def call(name, arguments):
            if name == "list_tools":
                return [tool.name for tool in await client.list_tools()]
            result = (await client.call_tool(name, arguments)).structured_content
            if result is not None and result.get("ok") is False:
                raise ValueError(result["error"])
            return result

        await serve(call)


asyncio.run(_main())
