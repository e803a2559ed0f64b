"""The resultstore's settings; it also makes the streams, so their policy is set here."""

from qjet_shared.settings import CommonSettings, Count, Port
from qjet_shared.streams import StoragePolicy


class ResultstoreSettings(CommonSettings, frozen=True, kw_only=True):
    """What a resultstore is told.

    `store_dir` is a folder on the broker's disk as seen from here; with less than
    `disk_reserve_bytes` free there, no more tasks are taken.
    """

    metrics_port: Port = 9102
    store_dir: str | None = None
    disk_reserve_bytes: Count = 1 << 28
    policy: StoragePolicy = StoragePolicy()
