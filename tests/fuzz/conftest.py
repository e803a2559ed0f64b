"""Fixtures of this level: small services for a module, and how many examples there are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support.nats import NatsServer, nats_server
from tests.support.services import Service, service

LIMITS = {"max_shots": 1024, "max_timeout_s": 3}

EXAMPLES = int(os.environ.get("QJET_FUZZ_EXAMPLES", "50"))
FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=False,
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""For every fuzzer; a failure is repeated by its seed, which `make fuzz` prints."""


@dataclass(frozen=True, repr=False)
class Services:
    """A gateway, an executor and a resultstore on one broker."""

    broker: NatsServer
    gateway: Service
    executor: Service
    resultstore: Service


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Real services with small limits, so that whatever they accept ends soon."""
    folder: Path = tmp_path_factory.mktemp("services")
    small = {"sandboxes": 1, "sandbox_memory_mb": 256, "task_timeout_s": 3, "ack_wait_s": 2}
    with (
        nats_server() as broker,
        service("resultstore", broker.url, folder, ack_wait_s=2) as resultstore,
        service("executor", broker.url, folder, **LIMITS, **small) as executor,
        service("gateway", broker.url, folder, **LIMITS) as gateway,
    ):
        yield Services(broker, gateway, executor, resultstore)
