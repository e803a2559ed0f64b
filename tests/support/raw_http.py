"""Sends any bytes to an HTTP server, and reads one answer."""

import http.client
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.services import Service

ANSWER_S = 15.0


class HttpRequest(NamedTuple):
    """A request as it goes over the wire."""

    method: str
    data: bytes


class Answer(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    body: bytes


def exchange(gateway: Service, request: HttpRequest, *, timeout_s: float = ANSWER_S) -> Answer:
    """Send a request and return the answer; raises `OSError` where there is none in time."""
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout_s) as connection:
        connection.sendall(request.data)
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        return Answer(response.status, response.headers["Content-Type"] or "", response.read())
