"""Time zones by name."""

from __future__ import annotations

from zoneinfo import ZoneInfo


def named_zone(name: str) -> ZoneInfo | None:
    """The zone of the IANA database with this name; None for an unknown name or a group such as `Asia`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
