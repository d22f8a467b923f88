"""Every answer is JSON, every refusal says what to change."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from spot_sidecar.trainer_api.requests import InvalidRequestError

__all__ = ["answer_in_json"]

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into `{"error": …}`."""
    try:
        return await handler(request)
    except InvalidRequestError as error:
        return web.json_response({"error": str(error)}, status=400)
    except web.HTTPException as error:
        what = f"{request.method} {request.path}: {error.reason}"
        return web.json_response({"error": what}, status=error.status)
    except ConnectionError:
        raise  # the client went: there is nobody to answer
    except Exception as error:
        log.exception("%s %s failed", request.method, request.path)
        return web.json_response({"error": f"the sidecar failed: {error!r}"}, status=500)
