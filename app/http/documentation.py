"""`/docs`: Swagger UI from this very server, for networks without Internet and pages without foreign scripts.

The files are those of the wheel `fastapi-swagger`, which follows the releases of swagger-ui-dist; its code is not used,
since the page that it makes has its script inline, which the content security policy here forbids.
"""

from functools import cache
from importlib import util
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets the style of elements
        "img-src 'self' data:",  # its icons
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/begin.js"></script>
</body>
</html>
"""
_BEGIN = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"""


@cache
def _folder() -> Path:
    """Return where the files are, without running the package, which would load what only it needs."""
    found = util.find_spec("fastapi_swagger")
    assert found is not None  # noqa: S101 - a dependency
    assert found.origin is not None  # noqa: S101
    return Path(found.origin).parent / "resources"


async def _page(_request: Request) -> Response:
    return Response(_PAGE, headers={"Content-Security-Policy": _POLICY}, media_type="text/html")


async def _begin(_request: Request) -> Response:
    return Response(_BEGIN, media_type="text/javascript")


async def _file(request: Request) -> Response:
    path = _folder() / request.url.path.rpartition("/")[2]
    return FileResponse(path, headers={"Cache-Control": "public, max-age=3600"})


async def _root(_request: Request) -> Response:
    return RedirectResponse("docs")


ROUTES: tuple[BaseRoute, ...] = (
    Route("/", _root, include_in_schema=False),
    Route("/docs", _page, include_in_schema=False),
    Route("/docs/begin.js", _begin, include_in_schema=False),
    *(Route(f"/docs/{name}", _file, include_in_schema=False) for name in _FILES),
)
