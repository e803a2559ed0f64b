"""Health: what each part of the system looks like from this gateway."""

from typing import Literal

from msgspec import Struct
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


class Health(Struct, frozen=True, kw_only=True):
    """`ok` when every part works; `degraded` says in `components` which does not."""

    status: Literal["ok", "degraded"]
    components: Components


async def check(broker: Broker, cluster: Cluster) -> Health:
    """Look at every part now."""
    components = Components(
        api="healthy",
        nats=_state(is_fine=await can_accept(broker)),
        executors=_state(is_fine=cluster.live("executor") > 0),
        resultstore=_state(is_fine=cluster.live("resultstore") > 0),
    )
    states = (components.nats, components.executors, components.resultstore)
    is_ok = all(state == "healthy" for state in states)
    return Health(status="ok" if is_ok else "degraded", components=components)


async def can_accept(broker: Broker) -> bool:
    """Whether a submission would be accepted: NATS answers and the streams are made."""
    try:
        broker.require_connection()
        with translated(subjects.TASKS_STREAM):
            await broker.js.stream_info(subjects.TASKS_STREAM)
            await broker.js.stream_info(subjects.RESULTS_BUCKET_STREAM)
    except (QjetError, NotFoundError):
        return False
    return True


def _state(*, is_fine: bool) -> State:
    return "healthy" if is_fine else "unhealthy"
