"""`jitui history import` of foreign files: what it prints, and its exit codes."""

from __future__ import annotations

from pathlib import Path

from tests.backtest import exports
from tests.cli.conftest import Jitui
from tests.cli.test_import import csv_file

HEADER = "id,placed,sku"
WORDS = ("--map", "id=order_id", "--map", "placed=placed_at", "--map", "sku=sku", "--set", "currency=CNY")


def test_an_import_says_what_it_read_and_wrote_and_the_same_again_that_nothing_changed(
    jitui: Jitui, tmp_path: Path
) -> None:
    file = csv_file(tmp_path, ["o1,2026-03-01 10:00:00,A", "o2,2026-03-01 10:00:00,B"], HEADER)
    out = str(tmp_path / "history")
    done = jitui("history", "import", "csv", file, "--out", out, "--time-zone", "Asia/Shanghai", *WORDS)
    assert done.code == 0, done.err
    assert "orders.csv: 2 rows read.\nWritten\n" in done.out
    again = jitui("history", "import", "csv", file, "--out", out, "--time-zone", "Asia/Shanghai", *WORDS)
    assert (again.code, again.out) == (
        0,
        f"{out} is of these files and this map already: nothing was changed.\n",
    )


def test_bad_rows_leave_with_one_and_are_in_the_document(jitui: Jitui, tmp_path: Path) -> None:
    file = csv_file(tmp_path, ["o1,gestern,A", "o2,2026-03-01 10:00:00Z,B"], HEADER)
    done = jitui("history", "import", "csv", file, "--out", str(tmp_path / "history"), *WORDS, "--json")
    assert done.code == 1
    (found,) = done.json["files"]
    assert (done.json["holds"], found["rows"], found["bad_rows"]) == (False, 2, 1)
    (bad,) = found["bad"]
    assert (bad["row"], bad["line"], bad["field"], bad["column"]) == (1, 2, "orders.placed_at", "placed")
    assert found["rejected"] == str(tmp_path / "orders.rejected.csv")


def test_bad_rows_leave_with_one_the_second_time_too(jitui: Jitui, tmp_path: Path) -> None:
    file, out = csv_file(tmp_path, ["o1,gestern,A", "o2,2026-03-01 10:00:00Z,B"], HEADER), str(tmp_path / "history")
    assert jitui("history", "import", "csv", file, "--out", out, *WORDS).code == 1
    again = jitui("history", "import", "csv", file, "--out", out, *WORDS)
    assert (again.code, again.out) == (1, f"{out} is of these files and this map already: nothing was changed.\n")
    assert again.err.endswith(f"mend them, remove {out} and import again.\n")


def test_columns_without_a_name_stand_where_they_stood_in_the_rows_that_are_given_back(
    jitui: Jitui, tmp_path: Path
) -> None:
    file = csv_file(tmp_path, ["o1,a,b,gestern,A"], "id,,,placed,sku")
    assert jitui("history", "import", "csv", file, "--out", str(tmp_path / "history"), *WORDS).code == 1
    kept = (tmp_path / "orders.rejected.csv").read_text(encoding="utf-8").splitlines()
    assert (kept[0], kept[1][:17]) == ("id,,,placed,sku,reason", "o1,a,b,gestern,A,")


def test_rows_that_contradict_each_other_leave_with_one(jitui: Jitui, tmp_path: Path) -> None:
    file = csv_file(tmp_path, ["o1,2026-03-01 10:00:00Z,A", "o1,2026-03-02 10:00:00Z,B"], HEADER)
    done = jitui("history", "import", "csv", file, "--out", str(tmp_path / "history"), *WORDS)
    assert done.code == 1 and "differ in placed_at" in done.out
    assert "o1 (orders.csv, row 1 to orders.csv, row 2)" in done.out


def test_what_cannot_be_imported_leaves_with_two_and_writes_nothing(jitui: Jitui, tmp_path: Path) -> None:
    file = csv_file(tmp_path, ["o1,2026-03-01 10:00:00Z,A"], HEADER)
    out = ("--out", str(tmp_path / "history"))
    for words, said in (
        (("csv", file, "--map-file", "nowhere"), "There is no map file nowhere"),
        (("csv", file, "--map", "id"), "--map takes THEIRS=OURS"),
        (("csv", file, "--map", "id=order_idd"), "order_id"),
        (("csv", str(tmp_path / "none.csv"), *WORDS), "none.csv"),
        (("parquet", file, *WORDS), "is csv, not parquet: say `jitui history import csv`"),
        (("csv", file, "--map-file", "alipay-bill"), "has no column '支付宝交易号'"),
        (("csv", file, *WORDS, "--complete-from", "soon"), "--complete-from"),
        (("csv", file, *WORDS, "--time-zone", "Mars"), "There is no time zone"),
        (("csv", file, *WORDS, "--time-zone", "Asia"), "There is no time zone 'Asia'"),
        (("csv", file, *WORDS, "--set", "whole_order=maybe"), "set for requests.whole_order cannot be used"),
        (("csv", file, *WORDS[:-1], "currency=CNYY"), "'CNYY' is not a currency"),
        (("olist", file, "--map", "a=b"), "--map is for csv, parquet, xlsx"),
        (("online-retail", file, file), "is one file"),
        (("cvs", file), "known are"),
    ):
        done = jitui("history", "import", *words, *out)
        assert (done.code, said in done.err) == (2, True), (words, done.err)
    assert not (tmp_path / "history").exists()


def test_a_workbook_and_a_list_of_maps(jitui: Jitui, tmp_path: Path) -> None:
    order = {
        "订单号": "2606000000000000001",
        "订单创建时间": "2026-03-02 10:15:01",
        "订单状态": "待发货",
        "成交数量": 1,
    }
    file = exports.workbook(tmp_path / "orders.xlsx", exports.KUAISHOU, [[order]])
    out = ("--out", str(tmp_path / "history"), "--set", "shop_id=s1", "--map-file", "kuaishou")
    assert jitui("history", "import", "xlsx", str(file), *out).code == 0
    listed = jitui("history", "maps")
    assert listed.code == 0 and listed.out.startswith("alipay-bill ") and "\nkuaishou " in listed.out
