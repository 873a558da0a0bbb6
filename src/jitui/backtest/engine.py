"""The engines of a back-test, through Ibis: DuckDB in this process, or Spark, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime  # Ibis reads the annotation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from jitui.errors import NotConfigured

if TYPE_CHECKING:
    from ibis.expr import types as ir

DEFAULT_MEMORY_MIB = 4096


class EngineName(StrEnum):
    """The engines that the agreement test covers."""

    DUCKDB = "duckdb"
    SPARK = "spark"


@ibis.udf.scalar.builtin(name="divide")  # type: ignore[untyped-decorator]
def _duckdb_divide(left: int, right: int) -> int: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="epoch_us")  # type: ignore[untyped-decorator]
def _duckdb_epoch_us(moment: datetime) -> int: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="div")  # type: ignore[untyped-decorator]
def _spark_divide(left: int, right: int) -> int: ...  # type: ignore[empty-body]


@ibis.udf.scalar.builtin(name="unix_micros")  # type: ignore[untyped-decorator]
def _spark_epoch_us(moment: datetime) -> int: ...  # type: ignore[empty-body]


@dataclass(frozen=True, slots=True)
class Engine:
    """A connection, with the two functions for which Ibis has no exact equivalent.

    `divide` truncates towards zero on 64-bit integers (Ibis divides in floating point); `epoch_us` gives the
    microseconds since 1970 of a time in UTC.
    """

    name: EngineName
    connection: Any
    divide: Callable[[ir.Value, ir.Value], ir.Value]
    epoch_us: Callable[[ir.Value], ir.Value]

    def read(self, path: Path) -> ir.Table:
        """A Parquet file, or a folder of Parquet files, as a table."""
        table: ir.Table = self.connection.read_parquet(parquet_files(path))
        return table

    def write(self, table: ir.Table, path: Path) -> None:
        """Write the rows of a table as one Parquet file (DuckDB) or a folder of them (Spark)."""
        if self.name is EngineName.DUCKDB:
            self.connection.to_parquet(table, path, compression="zstd")
        else:
            frame = self.connection.raw_sql(self.connection.compile(table))
            frame.write.mode("overwrite").parquet(str(path))


def parquet_files(path: Path) -> str:
    """A Parquet file, or those of a folder, as a reader takes them."""
    return str(path / "*.parquet") if path.is_dir() else str(path)


@contextmanager
def open_engine(
    name: EngineName, work: Path, *, memory_mib: int = DEFAULT_MEMORY_MIB, master: str = "local[2]"
) -> Iterator[Engine]:
    """An engine that uses at most `memory_mib` and writes what does not fit to `work`.

    Raises NotConfigured when Spark is requested and PySpark or Java is not installed.
    """
    if name is EngineName.DUCKDB:
        yield from _duckdb(work, memory_mib)
    else:
        yield from _spark(work, memory_mib, master)


def _duckdb(work: Path, memory_mib: int) -> Iterator[Engine]:
    connection = ibis.duckdb.connect(
        memory_limit=f"{memory_mib}MiB",
        temp_directory=str(work / "spill"),
        preserve_insertion_order=False,
    )
    try:
        yield Engine(EngineName.DUCKDB, connection, _duckdb_divide, _duckdb_epoch_us)
    finally:
        connection.disconnect()


def _spark(work: Path, memory_mib: int, master: str) -> Iterator[Engine]:
    try:
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError:
        raise NotConfigured("The Spark engine needs PySpark: install jitui[spark].") from None
    builder = SparkSession.builder.appName("jitui").master(master)
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": f"{memory_mib}m",
        "spark.driver.bindAddress": "127.0.0.1" if master.startswith("local") else "0.0.0.0",
        "spark.local.dir": str(work / "spark"),
        "spark.sql.warehouse.dir": str(work / "warehouse"),
        "spark.sql.parquet.inferTimestampNTZ.enabled": "false",
        "spark.log.level": "FATAL",  # failures are raised; what Spark recovers from is not an error
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    if master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "4")
    try:
        session = builder.getOrCreate()
    except PySparkRuntimeError as error:  # the Java process did not start
        raise NotConfigured("The Spark engine needs Java 17 or newer: install it, or set JAVA_HOME.") from error
    try:
        yield Engine(EngineName.SPARK, ibis.pyspark.connect(session), _spark_divide, _spark_epoch_us)
    finally:
        session.stop()
