"""Health: what each part of the system looks like from this gateway."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from nats.js.errors import NotFoundError

from qjet_gateway.cluster import Cluster
from qjet_shared import subjects
from qjet_shared.broker import Broker
from qjet_shared.errors import QjetError, translated

State = Literal["healthy", "unhealthy"]


class Components(Struct, frozen=True, kw_only=True):
    """Each part and whether it works."""

    api: State
    nats: State
    executors: State
    resultstore: State


class Health(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ok` when every part works; `degraded` says in `components` which does not."""

    status: Literal["ok", "degraded"]
    components: Components
    details: Annotated[
        dict[str, str], Meta(description="A sentence for people about each unhealthy part.")
    ] = {}


async def check(broker: Broker, cluster: Cluster) -> Health:
    """Look at every part now."""
    told = (await _trouble(broker), cluster.broker_trouble)
    found = {
        "api": None,
        "nats": " ".join(filter(None, told)),
        "executors": None if cluster.live("executor") else "No executor is ready.",
        "resultstore": None if cluster.live("resultstore") else "No resultstore is ready.",
    }
    details = {part: trouble for part, trouble in found.items() if trouble}
    states = {part: "unhealthy" if part in details else "healthy" for part in found}
    return Health(
        status="degraded" if details else "ok",
        components=msgspec.convert(states, Components),
        details=details,
    )


async def can_accept(broker: Broker) -> bool:
    """Whether a submission reaches its stream: NATS answers and the streams are made."""
    return await _trouble(broker) is None


async def _trouble(broker: Broker) -> str | None:
    """Say what is wrong with the broker as seen from here, or nothing."""
    try:
        broker.require_connection()
        with translated(subjects.TASKS_STREAM):
            await broker.js.stream_info(subjects.TASKS_STREAM)
            await broker.js.stream_info(subjects.RESULTS_BUCKET_STREAM)
    except NotFoundError:
        return "The streams are not made yet; the resultstore makes them."
    except QjetError as exc:
        return exc.message
    return None
