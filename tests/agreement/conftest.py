"""Engines that are started once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jitui.backtest.engine import Engine, EngineName, open_engine


@pytest.fixture(scope="session")
def duckdb_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with open_engine(EngineName.DUCKDB, tmp_path_factory.mktemp("duckdb")) as engine:
        yield engine


@pytest.fixture(scope="session")
def spark_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with open_engine(EngineName.SPARK, tmp_path_factory.mktemp("spark"), memory_mib=1024) as engine:
        yield engine
