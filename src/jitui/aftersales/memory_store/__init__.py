"""A store in memory: policies, commands and payments run without a database (docs/how-to/run-without-a-database.md)."""

from jitui.aftersales.memory_store.provider import MemoryProvider
from jitui.aftersales.memory_store.store import MemoryStore

__all__ = ["MemoryProvider", "MemoryStore"]
