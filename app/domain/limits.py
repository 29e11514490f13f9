"""How much a service keeps for its users.

What one request may hold is with what reads it: `app.protocol.manifest`, `app.protocol.lockfile`,
`app.protocol.manager_snapshot`, `app.sync.http.bodies`. What an owner may change is a setting.
"""

from __future__ import annotations

IDEMPOTENCY_SECONDS = 24 * 60 * 60
"""How long an idempotency key names what it started."""
MAX_KEYS = 10_000
"""Idempotency keys of installs that are remembered at a time."""
MAX_FLEETS = 10_000
"""Fleets, and workflows, that are started within a day."""
MAX_TUNNELS = 16
"""Tunnels that are open at a time: each has a thread, a port and a connection."""
MAX_CLOSED_TUNNELS = 200
"""Tunnels of which it is remembered why they closed."""
MAX_HOST_KEYS = 10_000
MAX_SSH_KEYS = 100
MAX_ENDED_CHARS = 4_000_000
"""Of ended installs that are answered from memory, as JSON together; the others are answered from their records. An
install of 400 packs has 500,000, and takes some four times as much memory."""
MAX_ENDED_IN_MEMORY = 1_000
"""Ended installs that are answered from memory; those that ended before are answered from their records."""
