"""The gateway: the HTTP and NATS front door. Checks, names and publishes tasks; reads results.

It keeps no state that matters: what it knows of running tasks is told again by heartbeats.
"""
