"""What a process loads: the parents of sandboxes, and the gateway, stay free of Qiskit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

PARENT_SIDE = [
    "qjet_executor",
    "qjet_executor.__main__",
    "qjet_executor.budget",
    "qjet_executor.child",
    "qjet_executor.death",
    "qjet_executor.delivery",
    "qjet_executor.estimate",
    "qjet_executor.extent",
    "qjet_executor.machine",
    "qjet_executor.need",
    "qjet_executor.outcomes",
    "qjet_executor.placement",
    "qjet_executor.pool",
    "qjet_executor.protocol",
    "qjet_executor.refusals",
    "qjet_executor.results",
    "qjet_executor.settings",
    "qjet_executor.worker",
]


def loaded_after_importing(*modules):
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_executors_own_process_never_loads_qiskit():
    """Aer holds the interpreter lock while it simulates: heartbeats would stop."""
    loaded = loaded_after_importing(*PARENT_SIDE)
    assert "qjet_executor" in loaded
    assert not loaded & {"qiskit", "qiskit_aer", "openqasm3", "numpy"}


@pytest.mark.parametrize("module", ["qjet_gateway.__main__", "qjet_resultstore.__main__"])
def test_the_other_services_need_no_qiskit(module):
    """Their images have none."""
    loaded = loaded_after_importing(module)
    assert not loaded & {"qiskit", "qiskit_aer", "openqasm3", "numpy", "qjet_executor"}


def test_services_do_not_import_one_another():
    """They speak by message."""
    services = {"qjet_gateway", "qjet_executor", "qjet_resultstore"}
    for service in services:
        assert loaded_after_importing(f"{service}.__main__") & services == {service}


def test_the_command_line_starts_without_the_services_packages():
    """`pip install qjet` alone gives a client."""
    loaded = loaded_after_importing("qjet.cli")
    assert "httpx" in loaded
    assert not loaded & {"qiskit", "nats", "aiohttp", "prometheus_client"}


def test_the_sandbox_does_load_qiskit():
    """So that the tests above could fail."""
    assert "qiskit_aer" in loaded_after_importing("qjet_executor.simulate")


def test_no_pattern_needs_a_newer_python():
    """Before 3.11.5, CPython matches possessive and atomic groups wrongly (gh-106052)."""
    found = [
        f"{path}: {line.strip()}"
        for folder in ("client", "shared", "services")
        for path in Path(folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\)[*?+]\+|\(\?>", line)
    ]
    assert found == []
