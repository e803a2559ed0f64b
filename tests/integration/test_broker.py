"""What a service does when its connection to the broker ends for good."""

import socket

import pytest

from tests.support.services import service

pytestmark = pytest.mark.integration

INFO = b'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1024}\r\n'


@pytest.mark.parametrize("name", ["gateway", "executor", "resultstore"])
def test_a_process_that_can_never_connect_again_ends(tmp_path, name):
    """After a protocol error nats-py gives up; whoever supervises the process has to see that."""
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        impostor.settimeout(20)
        url = f"nats://127.0.0.1:{impostor.getsockname()[1]}"
        with service(name, url, tmp_path, ready=False) as running:
            connection, _ = impostor.accept()
            with connection:
                connection.sendall(INFO)
                while b"PING" not in connection.recv(4096):
                    pass
                connection.sendall(b"PONG\r\n-ERR 'Maximum Payload Violation'\r\n")
                assert running.process.wait(20) == 70
            assert "broker.closed" in [line["event"] for line in running.log_lines()]
