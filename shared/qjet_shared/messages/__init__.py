"""Every message that crosses a process or network boundary, as frozen structs.

The HTTP gateway, the NATS endpoints, the streams and the results bucket all speak these types;
the OpenAPI document is generated from them.
"""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a message may raise that somebody else has put in its place."""
