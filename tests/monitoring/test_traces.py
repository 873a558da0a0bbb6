"""One trace goes from the request of a refund to its payment by another process; when off nothing is there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jitui import logs, tracing
from jitui.adapters.postgres.pool import make_pool
from jitui.bootstrap import open_service
from jitui.settings import LogFormat, Settings
from tests.http.api import Api, open_api
from tests.provider_simulator.server import SimulatorProcess, client_of
from tests.worker.paying import settings_of, until, working

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Traces are on, and kept in memory."""
    exporter = InMemorySpanExporter()
    tracing.start(SimpleSpanProcessor(exporter), process="test")
    yield exporter
    tracing.stop()


@pytest.fixture(autouse=True)
def log_as_before(tmp_path: Path) -> Iterator[None]:
    """A test may log otherwise."""
    yield
    structlog.contextvars.clear_contextvars()
    logs.configure(Settings(home=tmp_path))


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """The trace, the span, and the span above it."""
    context = span.get_span_context()
    assert context is not None
    above = "" if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", above


def above(span: ReadableSpan, spans: list[ReadableSpan]) -> list[str]:
    """The names of a span and of those above it, up to the caller's."""
    by_id = {ids(one)[1]: one for one in spans}
    names = [span.name]
    while (parent := ids(span)[2]) in by_id:
        span = by_id[parent]
        names.append(span.name)
    return [*names, ids(span)[2]]


async def asked(api: Api, order_id: str, **headers: str) -> None:
    body = {"order_id": order_id, "buyer_id": "buyer-1"}
    got = await api.call("POST", "/v1/after-sales", body, key=api.platform, headers=headers)
    assert (got.status_code, got.json()["ticket"]["state"]) == (201, "refunding")


async def test_one_trace_goes_from_the_request_to_the_payment(
    database_url: str,
    simulator: SimulatorProcess,
    tmp_path: Path,
    spans: InMemorySpanExporter,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with open_api(database_url, home=tmp_path) as api:
        await api.paid_order("o-1")
        async with client_of(simulator) as client:
            await client.pay(12900, payment_id="pay-o-1")
        logs.configure(Settings(home=tmp_path, log_format=LogFormat.JSON))
        await asked(api, "o-1", traceparent=PARENT)

        async def paid() -> bool:
            tickets = (await api.get("/v1/after-sales", params={"order_id": "o-1"})).json()["tickets"]
            return bool(tickets[0]["state"] == "refunded")

        async with (
            open_service(settings_of(database_url, simulator, tmp_path), database_url) as service,
            working(service),
        ):
            await until(paid)
    found = [span for span in spans.get_finished_spans() if ids(span)[0] == TRACE]
    named = {span.name: span for span in found}
    assert above(named["provider send"], found) == [
        "provider send",
        "pay refund",
        "transaction",
        "POST /v1/after-sales",
        CALLER,
    ]
    batches = [above(span, found)[1:] for span in found if span.name == "postgresql batch"]
    assert batches.count(["transaction", "POST /v1/after-sales", CALLER]) == 2, "read, and write"
    paying = ["transaction", "pay refund", "transaction", "POST /v1/after-sales", CALLER]
    assert batches.count(paying) == 2, "what came of it"
    request = named["POST /v1/after-sales"].attributes or {}
    assert (request["http.route"], request["http.response.status_code"]) == ("/v1/after-sales", 201)
    assert (named["provider send"].attributes or {})["jitui.outcome"] == "succeeded"
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [line for line in told if line["event"] == "request" and line["method"] == "POST"]
    assert line["trace_id"] == TRACE
    _holds_nothing_of_anybody(found)


def _holds_nothing_of_anybody(spans: list[ReadableSpan]) -> None:
    written = " ".join(span.to_json() for span in spans)
    assert [word for word in ("o-1", "buyer-1", "jt_", "12900") if word in written] == []


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{CALLER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{CALLER}-01",
        f"{PARENT}\n",
        PARENT.upper(),
    ],
    ids=["empty", "nonsense", "no-trace", "no-span", "version", "line-feed", "upper-case"],
)
def test_a_traceparent_in_another_form_is_none(sent: str) -> None:
    assert tracing.trace_id_of(sent) is None
    assert tracing.trace_id_of(PARENT) == TRACE


async def test_a_bad_traceparent_begins_a_trace_of_its_own_and_probes_none(
    database_url: str, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async with open_api(database_url, home=tmp_path) as api:
        spans.clear()
        await api.get("/v1/history", headers={"traceparent": "00-nonsense"})
        await api.call("GET", "/healthz")
        await api.get("/nowhere/o-1")
    found = [span for span in spans.get_finished_spans() if span.parent is None]
    assert [span.name for span in found] == ["GET /v1/history", "GET unknown"]
    assert len({ids(span)[0] for span in found}) == 2


async def test_nothing_is_traced_outside_a_trace(database_url: str, spans: InMemorySpanExporter) -> None:
    async with make_pool(database_url, max_size=1) as pool:
        from jitui.adapters.postgres.store import PostgresStore

        assert await PostgresStore(pool, "Asia/Shanghai").find_order("o-1") is None
    assert spans.get_finished_spans() == ()


async def test_an_error_is_named_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(RuntimeError), tracing.continued_span("work", None, {}):
        raise RuntimeError("the row of buyer-1")
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "RuntimeError"
    assert not span.status.is_ok and not span.events
    assert "buyer-1" not in span.to_json()


async def test_when_traces_are_off_the_row_has_none_and_the_log_names_the_callers(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.paid_order("o-1")
    logs.configure(replace(api.service.settings, log_format=LogFormat.JSON))
    await asked(api, "o-1", traceparent=PARENT)
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["trace_id"] for line in told] == [TRACE]
    async with api.market.pool.connection() as connection:
        rows = await (await connection.execute("SELECT trace_parent FROM refund")).fetchall()
    assert rows == [(None,)]


def test_when_traces_are_off_nothing_of_opentelemetry_is_imported() -> None:
    program = (
        "import sys, jitui.worker, jitui.entrypoints.http.server, jitui.entrypoints.console.mount\n"
        "from jitui import tracing\n"
        "assert tracing.span('a') is tracing.span('b') is tracing.request_span(None)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_collector_gets_the_spans_of_the_share_that_is_set(tmp_path: Path) -> None:
    got: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            got.append(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        for percent in (1, 100):
            tracing.configure(Settings(home=tmp_path, traces_url=url, traces_percent=percent), "worker")
            for number in range(50):
                with tracing.continued_span(f"work {percent}", None, {"number": number}):
                    pass
            tracing.stop()
        server.shutdown()
    scopes = [scope for one in got for resource in one.resource_spans for scope in resource.scope_spans]
    names = [span.name for scope in scopes for span in scope.spans]
    assert names.count("work 100") == 50
    assert names.count("work 1") < 25
    about = {one.key: one.value.string_value for one in got[-1].resource_spans[0].resource.attributes}
    assert about["service.name"] == "jitui-worker"


@pytest.mark.parametrize("kind", ["request", "queued"])
def test_what_begins_a_trace_is_no_part_of_one_that_happens_to_be_open(spans: InMemorySpanExporter, kind: str) -> None:
    with tracing.continued_span("open", None, {}) as around:
        begun = tracing.request_span(None) if kind == "request" else tracing.continued_span("queued", None, {})
        with begun as inner:
            assert inner.trace_id != around.trace_id
