"""The resultstore's settings; it also makes the streams, so their policy is set here."""

import msgspec

from qjet_shared.settings import CommonSettings, Count, Port, Seconds
from qjet_shared.streams import StoragePolicy


class ResultstoreSettings(CommonSettings, frozen=True, kw_only=True):
    """What a resultstore is told. `result_ttl` and `ack_wait_s` are in seconds."""

    metrics_port: Port = 9102
    result_ttl: Seconds = 86_400.0
    queue_max_tasks: Count = 1_000_000
    queue_max_bytes: Count = 1 << 30
    replicas: Count = 1
    ack_wait_s: Seconds = 30.0

    @property
    def policy(self) -> StoragePolicy:
        """The part that the streams are made from."""
        return msgspec.convert(self, StoragePolicy, from_attributes=True)
