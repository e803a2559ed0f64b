"""The gateway's settings."""

from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.submissions import Limits


class GatewaySettings(CommonSettings, frozen=True, kw_only=True):
    """What a gateway is told. `max_body_bytes` stays below NATS's message limit of 1 MiB.

    A broker that goes away is waited for `patience_s` seconds before a request is refused.
    """

    http_port: Port = 8000
    max_body_bytes: Count = 1_000_000
    patience_s: Seconds = 2.0
    limits: Limits = Limits()
