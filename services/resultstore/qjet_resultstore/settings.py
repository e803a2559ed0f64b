"""The resultstore's settings; it also makes the streams, so their policy is set here."""

from qjet_shared.settings import CommonSettings, Port
from qjet_shared.streams import StoragePolicy


class ResultstoreSettings(CommonSettings, frozen=True, kw_only=True):
    """What a resultstore is told."""

    metrics_port: Port = 9102
    policy: StoragePolicy = StoragePolicy()
