"""Real PostgreSQL and Redis servers for one machine, from the programs that lie in Python wheels.

`EmbeddedServers` is the way in. What it does not do: replication, backups, more than one machine. Whoever needs
those sets DATABASE_URL and REDIS_URL (see README.md).
"""

from callout_backend.embedded.processes import EmbeddedError
from callout_backend.embedded.servers import EmbeddedServers, Urls, running_urls

__all__ = ["EmbeddedError", "EmbeddedServers", "Urls", "running_urls"]
