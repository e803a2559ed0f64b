"""The qjet command and the Python client.

from qjet import Client

with Client("http://127.0.0.1:8000") as client:
    task = client.run(source, shots=4096)
    print(task.result)
"""

from qjet.client import Client, RequestError, UnreachableError

__all__ = ["Client", "RequestError", "UnreachableError"]
