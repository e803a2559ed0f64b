"""The gateway's settings."""

from qjet_shared.settings import CommonSettings, Count, Port
from qjet_shared.submissions import Limits


class GatewaySettings(CommonSettings, frozen=True, kw_only=True):
    """What a gateway is told. `max_body_bytes` stays below NATS's message limit of 1 MiB."""

    http_port: Port = 8000
    max_body_bytes: Count = 1_000_000
    limits: Limits = Limits()
