"""Sets up an aiohttp application to be served."""

from aiohttp import web

__all__ = ["set_up"]

STOP_SECONDS = 0.5


async def set_up(app: web.Application) -> web.AppRunner:
    """A runner without sites yet; the caller cleans it up."""
    # A client that goes must not leave its long poll or its session behind.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_SECONDS
    )
    await runner.setup()
    return runner
