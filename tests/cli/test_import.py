"""`jitui import`: good rows are loaded, every bad one is reported, a broken file loads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jitui.bootstrap import open_service
from jitui.settings import Settings
from tests.cli.conftest import Jitui, in_a_process
from tests.provider_simulator.server import SIMULATOR_AWAY

HEADER = "order_id,buyer_id,shop_id,currency,placed_at,line_id,item_id,quantity,paid,customised"
GOOD = (
    "o1,b1,s1,CNY,2026-11-01T10:00:00+08:00,l1,i1,2,129.00,false",
    "o1,b1,s1,CNY,2026-11-01T10:00:00+08:00,l2,i2,1,20,",
)
BAD = (
    "o2,b1,s1,CNY,2026-11-01T10:00,l1,i1,0,12.345,maybe",
    "o3,b 1,s1,XXZ,2026-11-01T10:00:00+08:00,l1,i1,1,-5,true",
    "o4,b2,s1,CNY,2026-11-01T10:00:00+08:00,l1,i1,1",
)
OTHER = "o4,b2,s1,CNY,2026-11-01T10:00:00+08:00,l2,i1,1,5.00,"


@pytest.fixture(autouse=True)
def simulator_is_configured(settings: dict[str, str]) -> None:
    """Payments that nobody here can refund are refused; the simulator is not asked for anything."""
    settings.update({f"JITUI_{name.upper()}": value for name, value in SIMULATOR_AWAY.items()})


def csv_file(folder: Path, rows: Sequence[str], header: str = HEADER, name: str = "orders.csv") -> str:
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(file)


def count(database_url: str, table: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


def test_bad_rows_are_named_and_good_ones_loaded(settings: dict[str, str], database_url: str, tmp_path: Path) -> None:
    csv_file(tmp_path, [*GOOD, *BAD, OTHER])
    done = in_a_process("import", "orders", "orders.csv", settings=settings, cwd=tmp_path)
    assert done.code == 1
    assert done.out == "6 rows read, 1 orders loaded (1 new); 3 bad rows, 1 rows left out with them.\n"
    lines = done.err.splitlines()
    assert "orders.csv:4: row 3, quantity: expected a whole number from 1 to 1000000000, not '0'" in lines
    assert "orders.csv:6: row 5: the row has 8 cells, the header 10" in lines
    fields = {(part.split(", ")[0], part.split(", ")[1].split(":")[0]) for part in lines if ", " in part[:40]}
    assert {("orders.csv:4: row 3", name) for name in ("quantity", "paid", "customised", "placed_at")} <= fields
    assert {("orders.csv:5: row 4", name) for name in ("currency", "buyer_id", "paid")} <= fields
    assert (count(database_url, "orders"), count(database_url, "order_line")) == (1, 2)


def test_atomic_loads_nothing_beside_a_bad_row(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    file = csv_file(tmp_path, [*GOOD, *BAD])
    done = jitui("import", "orders", file, "--atomic", "--json")
    assert (done.code, done.json["loaded"], done.json["bad_rows"]) == (1, 0, 3)
    assert count(database_url, "orders") == 0


def test_atomic_loads_nothing_beside_a_row_that_the_service_would_refuse(
    jitui: Jitui, database_url: str, tmp_path: Path
) -> None:
    assert jitui("migrate").code == 0  # which publishes the policy that money captured later is decided by
    assert jitui("import", "orders", csv_file(tmp_path, GOOD)).code == 0
    header = "order_id,provider,payment_id,amount,currency,captured_at"
    rows = [f"{order},simulator,p-{order},149.00,CNY,2026-11-01T10:01:00+08:00" for order in ("o1", "o9")]
    file = csv_file(tmp_path, rows, header, "payments.csv")
    refused = jitui("import", "payments", file, "--atomic", "--json")
    assert (refused.code, refused.json["loaded"]) == (1, 0)
    assert (refused.json["bad"][0]["row"], count(database_url, "tender")) == (2, 0)
    assert jitui("import", "payments", file).code == 1
    assert count(database_url, "tender") == 1


def test_importing_again_changes_nothing(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    file = csv_file(tmp_path, GOOD)
    for _ in range(2):
        assert jitui("import", "orders", file, "--json").json["loaded"] == 1
    assert count(database_url, "order_line") == 2


def test_an_order_in_two_minds_is_not_loaded(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    other_buyer = GOOD[1].replace("b1", "b2")
    bad = jitui("import", "orders", csv_file(tmp_path, [GOOD[0], other_buyer]), "--json").json["bad"]
    assert [(row["row"], row["field"]) for row in bad] == [(2, "buyer_id")]
    assert count(database_url, "orders") == 0


def test_their_columns_become_our_fields(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    file = csv_file(tmp_path, ["b1;2020-01-01 08:00;gold;x"], "会员;注册时间;等级;备注", "buyers.csv")
    mapped = ("--map", "会员=buyer_id", "--map", "注册时间=registered_at", "--map", "等级=attribute.level")
    done = jitui("import", "buyers", file, *mapped, "--time-zone", "Asia/Shanghai", "--json")
    assert (done.code, done.json["ignored_columns"]) == (0, ["备注"])

    async def buyer() -> tuple[datetime | None, object]:
        async with open_service(Settings(home=tmp_path), database_url) as service:
            row = await service.registry.get_buyer("b1")
            assert row is not None
            return row.registered_at, row.attributes

    assert asyncio.run(buyer()) == (datetime(2020, 1, 1, tzinfo=UTC), {"level": "gold"})


def test_history_from_parquet_is_complete_from_a_time_on(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    at = [datetime(2026, 10, day, tzinfo=UTC) for day in (1, 2)]
    since = "2025-01-01T00:00:00+08:00"
    for kinds, loaded, bad, declared in (
        (["order_paid", "wedding"], 1, [(2, "kind")], 0),  # what the bad row told is missing, and may be any kind
        (["order_paid", "order_completed"], 2, [], 2),
    ):
        table = pa.table({"buyer_id": ["b1", "b1"], "event_id": ["e1", "e2"], "kind": kinds, "at": at})
        file = tmp_path / "history.parquet"
        pq.write_table(table, file)
        done = jitui("import", "history", str(file), "--complete-from", since, "--json")
        assert (done.json["loaded"], [(one["row"], one["field"]) for one in done.json["bad"]]) == (loaded, bad)
        assert count(database_url, "buyer_event") == loaded
        assert count(database_url, "history_record") == declared


def test_history_that_the_service_refuses_is_not_complete(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    jitui("import", "orders", csv_file(tmp_path, GOOD))
    header = "buyer_id,event_id,kind,at,order_id,retracts"
    rows = ["b1,e1,order_paid,2026-10-01T00:00:00Z,o1,", "b2,e2,order_completed,2026-10-01T00:00:00Z,o1,"]
    history = csv_file(tmp_path, rows, header, "history.csv")
    for flag in ("--atomic", "--json"):
        done = jitui("import", "history", history, "--complete-from", "2025-01-01T00:00:00Z", flag)
        assert done.code == 1
        assert count(database_url, "history_record") == 0
    assert done.json["bad"][0]["reason"] == "This order belongs to another buyer."
    assert count(database_url, "buyer_event") == 1


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2200-01-01T00:00:00Z"])
def test_a_history_is_complete_from_a_time_of_these_centuries(jitui: Jitui, tmp_path: Path, since: str) -> None:
    done = jitui("import", "history", str(tmp_path / "none.csv"), "--complete-from", since)
    assert done.code == 2 and "from 1970 to 2199" in done.err


def test_amounts_beyond_every_number_are_bad_rows(jitui: Jitui, tmp_path: Path) -> None:
    rows = [row.replace("129.00", "1E999999") for row in GOOD]
    done = jitui("import", "orders", csv_file(tmp_path, rows))
    assert done.code == 1 and "row 1, paid: " in done.err and "should not happen" not in done.err


def test_parcels_are_loaded_by_line_and_quantity(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    assert jitui("migrate").code == 0  # which publishes the policy that money captured later is decided by
    assert jitui("import", "orders", csv_file(tmp_path, GOOD)).code == 0
    pay = "o1,simulator,p1,149.00,CNY,2026-11-01T10:01:00+08:00"
    payments = csv_file(tmp_path, [pay], "order_id,provider,payment_id,amount,currency,captured_at", "p.csv")
    assert jitui("import", "payments", payments).code == 0
    header = "order_id,degree,carrier,tracking_no,happened_at,line_id,quantity"
    rows = [
        "o1,shipped,SF,SF1,2026-11-02T10:00:00+08:00,l1,1",
        "o1,shipped,SF,SF1,2026-11-02T10:00:00+08:00,l2,1",
        "o1,shipped,SF,SF2,2026-11-02T10:00:00+08:00,l1,9",
    ]
    done = jitui("import", "shipments", csv_file(tmp_path, rows, header, "s.csv"), "--json")
    assert (done.json["loaded"], [bad["row"] for bad in done.json["bad"]]) == (1, [3])
    with psycopg.connect(database_url) as connection:
        left = connection.execute("SELECT line_id, shipped_quantity FROM order_line ORDER BY line_id").fetchall()
    assert left == [("l1", 1), ("l2", 1)]


BROKEN = {
    "empty.csv": b"",
    "quote.csv": (HEADER + '\no1,"b1,s1\n').encode(),
    "gb.csv": (HEADER + "\n").encode() + "订单,b1".encode("gb18030"),
    "utf16.csv": HEADER.encode("utf-16"),
    "columns.csv": b"order_id,buyer_id\no1,b1\n",
    "twice.csv": b"order_id,order_id\no1,b1\n",
    "short.parquet": b"PAR1 and no more",
    "cut.csv": b"\x1f\x8b\x08",
}


def test_a_parcel_is_one_however_its_rows_spell_it(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    assert jitui("migrate").code == 0  # which publishes the policy that money captured later is decided by
    assert jitui("import", "orders", csv_file(tmp_path, GOOD)).code == 0
    header = "order_id,provider,payment_id,amount,currency,captured_at"
    row = "o1,simulator,p-o1,149.00,CNY,2026-11-01T10:01:00+08:00"
    assert jitui("import", "payments", csv_file(tmp_path, [row], header, "payments.csv")).code == 0
    header = "order_id,degree,carrier,tracking_no,happened_at,source,line_id,quantity"
    rows = [
        "o1,shipped,,SF1,2026-11-02T10:00:00+08:00,merchant,l1,1",
        "o1,shipped,sf,sf1,2026-11-02T10:00:00+08:00,merchant,l2,1",
        "o1,delivered,SF Express,SF1,2026-11-03T10:00:00+08:00,carrier,,",
    ]
    rows[2] = rows[2].replace("SF Express", "SF-Express")
    for _ in range(2):
        assert jitui("import", "shipments", csv_file(tmp_path, rows, header, "shipments.csv")).code == 0
        with psycopg.connect(database_url) as connection:
            parcels = connection.execute("SELECT degree, lower(carrier) FROM shipment").fetchall()
            units = connection.execute(
                "SELECT shipped_quantity, scanned_quantity FROM order_line ORDER BY line_id"
            ).fetchall()
        assert parcels in ([("delivered", "sf-express")], [("delivered", "sf")])
        assert units == [(1, 0), (1, 0)]


def test_an_empty_cell_of_a_buyer_forgets_nothing(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    header = "buyer_id,registered_at,region,attribute.tier,attribute.vip"
    rows = ["b1,2024-01-01T00:00:00Z,CN-33,3,true"]
    assert jitui("import", "buyers", csv_file(tmp_path, rows, header, "buyers.csv")).code == 0
    assert jitui("import", "buyers", csv_file(tmp_path, ["b1,,4"], "buyer_id,region,attribute.tier", "b.csv")).code == 0
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT extract(year FROM registered_at)::int, region, attributes FROM buyer"
        ).fetchone()
    assert row == (2024, "CN-33", {"tier": "4", "vip": "true"})  # no policy declares them, so they are texts


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_loads_nothing_and_says_where(jitui: Jitui, database_url: str, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    done = jitui("import", "orders", csv_file(tmp_path, GOOD), str(tmp_path / name))
    assert (done.code, done.out) == (2, "")
    assert name in done.err
    assert "Traceback" not in done.err
    assert count(database_url, "orders") == 0


def test_columns_without_a_name_stand_where_they_stood_in_the_rows_that_are_given_back(
    jitui: Jitui, database_url: str, tmp_path: Path
) -> None:
    header = HEADER.replace("shop_id", "shop_id,,")
    rows = [GOOD[0].replace("s1,", "s1,a,b,"), BAD[0].replace("s1,", "s1,a,b,")]
    done = jitui("import", "orders", csv_file(tmp_path, rows, header))
    assert (done.code, count(database_url, "orders")) == (1, 1), done.err
    kept = (tmp_path / "orders.rejected.csv").read_text(encoding="utf-8").splitlines()
    assert (kept[0], kept[1].rpartition(',"')[0]) == (f"{header},reason", rows[1])


def test_a_field_that_we_do_not_have_is_refused_with_a_hint(jitui: Jitui, tmp_path: Path) -> None:
    done = jitui("import", "orders", csv_file(tmp_path, GOOD), "--map", "x=byer_id")
    assert done.code == 2
    assert "did you mean buyer_id?" in done.err


@pytest.mark.parametrize(
    ("field", "column", "said"),
    [
        ("freigt", "paid", "m: there is no field 'freigt'; did you mean freight?"),
        ("order_line.title", "paid", "m: there is no field 'order_line.title'"),
        ("item_id", "nummer", "has no column for item_id (by the map 'nummer'); it has order_id"),
        ("refunds.refund_id", "customised", None),  # another table's
        ("order_lines.title", "customised", None),
        ("asked_at", "customised", None),
        ("attribute.level", "customised", None),
    ],
)
def test_a_map_file_with_a_misspelt_field_or_column_is_refused(
    jitui: Jitui, tmp_path: Path, field: str, column: str, said: str | None
) -> None:
    (tmp_path / "m.toml").write_text(f'[columns]\n"{field}" = "{column}"\n')
    done = jitui("import", "orders", csv_file(tmp_path, GOOD), "--map-file", str(tmp_path / "m.toml"), "--check")
    if said is None:
        assert done.code == 0, done.err
    else:
        assert done.code == 2 and said in done.err, done.err


def test_a_map_file_serves_the_service_too(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    (tmp_path / "orders.toml").write_text(
        'needs = ["订单号"]\n[read]\nencoding = ["utf-8", "gb18030"]\ntime_zone = "Asia/Shanghai"\n'
        'time_formats = ["%Y/%m/%d %H:%M"]\nsigns = ["¥"]\nthousands = ","\nempty = ["-"]\n'
        '[set]\ncurrency = "CNY"\nshop_id = "s1"\n'
        '[columns]\norder_id = "订单号"\nbuyer_id = "会员"\nplaced_at = "时间"\nitem_id = "商品"\n'
        '"order_lines.paid" = "金额"\nhold = "状态"\n"shipments.shipped_at" = "发货"\n'
        '[words.hold]\n"待成团" = "group_buy"\n"正常" = "none"\n'
    )
    rows = [
        '1,u1,2026/11/01 10:00,mug,"¥1,299.90",待成团,',
        "2,u1,2026/11/01 10:00,mug,12.00,-,",
        "3,u2,2026/11/01 10:00,mug,12.00,没见过,",
    ]
    file = tmp_path / "orders.csv"
    file.write_bytes("\n".join(["订单号,会员,时间,商品,金额,状态,发货", *rows, ""]).encode("gb18030"))
    done = jitui("import", "orders", str(file), "--map-file", str(tmp_path / "orders.toml"))
    assert done.code == 1
    assert (
        "row 3, hold (column '状态'): the map has no word for '没见过'; say what it means in [words.hold]" in done.err
    )
    assert "Column '发货' is ignored" in done.err
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT order_id, currency, shop_id, hold, placed_at, paid_minor FROM orders JOIN order_line"
            " USING (lane, order_id) ORDER BY 1"
        ).fetchall()
    placed = datetime(2026, 11, 1, 2, tzinfo=UTC)
    assert [(*row[:4], row[4].astimezone(UTC), row[5]) for row in found] == [
        ("1", "CNY", "s1", "group_buy", placed, 129_990),
        ("2", "CNY", "s1", "none", placed, 1_200),
    ]
    assert jitui("import", "orders", str(file), "--set", "orderid=1").code == 2


def test_a_ready_map_of_an_export_needs_the_columns_that_it_does_not_believe(
    jitui: Jitui, database_url: str, tmp_path: Path
) -> None:
    file = csv_file(
        tmp_path,
        ["#1001,a@example.com,EUR,2026-11-01 10:00:00 +0100,2,MUG,true,20.00"],
        "Name,Email,Currency,Created at,Lineitem quantity,Lineitem sku,Lineitem requires shipping,Line total",
    )
    words = ("import", "orders", file, "--map-file", "shopify", "--set", "shop_id=s1")
    assert "has no column for item_id, paid_minor or paid" in jitui(*words).err
    assert jitui(*words, "--map", "Line total=paid", "--map", "Lineitem sku=item_id").code == 0
    assert count(database_url, "order_line") == 1


def test_a_payment_that_cannot_be_refunded_here_is_a_bad_row(jitui: Jitui, database_url: str, tmp_path: Path) -> None:
    assert jitui("migrate").code == 0
    assert jitui("import", "orders", csv_file(tmp_path, GOOD)).code == 0
    header = "order_id,provider,payment_id,amount,currency,captured_at"
    row = "o1,paypal,p-o1,149.00,CNY,2026-11-01T10:01:00+08:00"
    file = csv_file(tmp_path, [row], header, "payments.csv")
    for flag in ("--check", "--atomic", "--json"):
        assert (
            jitui("import", "payments", file, flag, "--json")
            .json["bad"][0]["reason"]
            .startswith("This installation cannot refund through 'paypal' (simulator); configure the provider")
        )
        assert count(database_url, "tender") == 0
