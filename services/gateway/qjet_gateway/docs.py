"""`/openapi.json`, and `/docs`: Swagger UI, served from an installed package's files."""

from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from qjet_gateway.openapi import document
from qjet_shared.submissions import Limits

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>qjet API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
"""
_POLICY: Final = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
"""Lets the page load nothing from elsewhere. Source: https://www.w3.org/TR/CSP3/"""


def add_docs(app: web.Application, limits: Limits) -> None:
    """Add the routes; the document is made once."""
    openapi = msgspec.json.encode(document(limits))

    async def get_openapi(_: web.Request) -> web.Response:
        return web.Response(body=openapi, content_type="application/json")

    async def get_docs(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=_PAGE, content_type="text/html", headers=headers)

    async def get_start(_: web.Request) -> web.Response:
        return web.Response(text=_START, content_type="text/javascript")

    async def get_root(_: web.Request) -> web.Response:
        raise web.HTTPFound("/docs")

    app.router.add_get("/", get_root)
    app.router.add_get("/openapi.json", get_openapi)
    app.router.add_get("/docs", get_docs)
    app.router.add_get("/docs/start.js", get_start)
    app.router.add_static("/docs/assets", _assets())


def _assets() -> Path:
    with resources.as_file(resources.files("aiohttp_swagger3")) as package:
        return package / "swagger_ui"
