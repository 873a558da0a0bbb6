"""The sums of every setting of a grid, and those settings that no other beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from jitui.tuning.scan import BITS, LEARN, BitGroup, Tried

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_POINTS = 20
CELLS_AT_ONCE = 1 << 23
"""Groups of requests times settings that are in memory together."""


@dataclass(frozen=True, slots=True)
class GridSums:
    """What each setting would have done with the requests that are learnt from, by the number of the setting.

    Money and loss are amounts in minor units.
    """

    requests: int
    instant: NDArray[np.int64]
    incidents: NDArray[np.int64]
    money_minor: NDArray[np.int64]
    loss_minor: NDArray[np.int64]


def grid_sums(connection: duckdb.DuckDBPyConnection, tried: Tried, cells_at_once: int = CELLS_AT_ONCE) -> GridSums:
    """Add up the grid. Requests with the same bits are counted once, which leaves few groups of very many requests."""
    import numpy as np

    columns = [column for group in tried.groups for column in group.columns]
    found = connection.execute(
        f"""SELECT {", ".join(columns)}, count(*) AS n, count(*) FILTER (incident) AS incidents,
                   sum(amount_minor)::DOUBLE AS money, sum(loss_minor)::DOUBLE AS loss
            FROM read_parquet($source) WHERE half = '{LEARN}' GROUP BY ALL""",
        {"source": tried.source},
    ).fetchnumpy()
    weights = np.stack([np.asarray(found[name], np.float64) for name in ("n", "incidents", "money", "loss")])
    sums = np.zeros((4, tried.grid.size))
    rows = max(1, cells_at_once // tried.grid.size)
    for begin in range(0, weights.shape[1], rows):
        chunk = slice(begin, begin + rows)
        sums += weights[:, chunk] @ _approved(tried, {name: found[name][chunk] for name in columns})
    return GridSums(int(weights[0].sum()), *sums.round().astype(np.int64))


def _approved(tried: Tried, bits: dict[str, Any]) -> NDArray[np.float64]:
    """Of each group of requests, 1 for each setting that approves them."""
    import numpy as np

    rows = len(next(iter(bits.values())))
    approved = np.ones((rows, *tried.grid.shape), np.bool_)
    for group in tried.groups:
        own = np.stack([_of_bit(group, bits, number) for number in range(group.grid.size)], axis=1)
        axes = [len(values) if name in group.names else 1 for name, values in tried.grid.values.items()]
        approved &= own.reshape(rows, *axes)
    return approved.reshape(rows, -1).astype(np.float64)


def _of_bit(group: BitGroup, bits: dict[str, Any], number: int) -> Any:
    return (bits[group.columns[number // BITS]] >> (number % BITS)) & 1 == 1


def front(sums: GridSums, own: int) -> list[int]:
    """At most twenty settings, from strict to loose: of no other is more approved at once at no more loss.

    Where no amount is lost, incidents take the place of loss, and where there are none either, money. Of settings that
    do the same, the policy's own (`own`) or else the first stands for all. When there are more, those are kept that
    divide the range of what is approved most evenly.
    """
    losses = next((one for one in (sums.loss_minor, sums.incidents) if one.any()), sums.money_minor)
    order = sorted(
        range(len(losses)),
        key=lambda one: (-sums.instant[one], losses[one], sums.money_minor[one], one != own, one),
    )
    kept: list[int] = []
    least = float("inf")
    for one in order:
        if losses[one] < least:
            kept.append(one)
            least = losses[one]
    kept.reverse()
    if len(kept) <= MOST_POINTS:
        return kept
    low, high = sums.instant[kept[0]], sums.instant[kept[-1]]
    wanted = [low + (high - low) * place / (MOST_POINTS - 1) for place in range(MOST_POINTS)]
    return list(dict.fromkeys(min(kept, key=lambda one: (abs(sums.instant[one] - at), one)) for at in wanted))
