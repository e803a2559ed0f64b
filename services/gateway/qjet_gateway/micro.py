"""The NATS side of the contract: the micro service `qjet`, with the same operations as HTTP.

Source: NATS ADR-32, https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-32.md
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from qjet_gateway import idempotency
from qjet_gateway.api import Api
from qjet_gateway.problems import problem_of
from qjet_shared import __version__, subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import QjetError

log = logging.getLogger(__name__)

_LONGEST_HEADLINE: Final = 200
Endpoint = Callable[[Request], Awaitable[bytes]]


async def start_micro_service(broker: Broker, api: Api) -> Service:
    """Register the service and its endpoints. Needs a connection."""

    async def submit(request: Request) -> bytes:
        headers = {name.lower(): value for name, value in (request.headers or {}).items()}
        key = headers.get(idempotency.HEADER.lower())
        return msgspec.json.encode(await api.submit_payload(request.data, key=key))

    async def get(request: Request) -> bytes:
        return await api.get_message(_task_id(request))

    async def cancel(request: Request) -> bytes:
        return await api.cancel(_task_id(request))

    service = await add_service(
        broker.nc,
        ServiceConfig(
            name="qjet", version=__version__, description="Quantum circuits as durable tasks"
        ),
    )
    for name, subject, endpoint in (
        ("submit", subjects.API_SUBMIT, submit),
        ("get", subjects.API_GET, get),
        ("cancel", subjects.API_CANCEL, cancel),
    ):
        await service.add_endpoint(
            EndpointConfig(name=name, subject=subject, handler=_answering(endpoint))
        )
    return service


def _task_id(request: Request) -> str:
    return request.data.decode("utf-8", "replace").strip()


def _answering(endpoint: Endpoint) -> Callable[[Request], Awaitable[None]]:
    """Answer with what `endpoint` returns, or with a problem in the service error headers."""

    async def answer(request: Request) -> None:
        try:
            await request.respond(await endpoint(request))
        except QjetError as exc:
            problem = problem_of(exc)
            headline = " ".join(problem.detail.split())[:_LONGEST_HEADLINE]
            body = msgspec.json.encode(problem)
            await request.respond_error(str(problem.status), headline, body)
        except Exception:
            log.exception("micro.failed", extra={"subject": request.subject})
            await request.respond_error("500", "Something went wrong here; it was logged.")

    return answer
