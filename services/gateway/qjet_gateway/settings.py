"""The gateway's settings."""

from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.submissions import Limits


class GatewaySettings(CommonSettings, frozen=True, kw_only=True):
    """What a gateway is told. `max_body_bytes` stays below NATS's message limit of 1 MiB."""

    http_port: Port = 8000
    max_body_bytes: Count = 1_000_000
    max_shots: Count = 1_000_000
    max_timeout_s: Seconds = 3600.0

    @property
    def limits(self) -> Limits:
        """What one task may ask for."""
        return Limits(max_shots=self.max_shots, max_timeout_s=self.max_timeout_s)
