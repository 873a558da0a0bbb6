"""Names of time zones as people write them."""

from __future__ import annotations

from zoneinfo import ZoneInfo


def named_zone(name: str) -> ZoneInfo | None:
    """The zone of the IANA database with this name; None for a name that is none, or a folder of zones as `Asia`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
