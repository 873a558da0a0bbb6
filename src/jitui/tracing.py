"""Traces by OpenTelemetry, off unless configured: from the request through the queue to the provider.

When they are off nothing of OpenTelemetry is imported, and a span is one shared object that does nothing. A span begins
within a trace only; a trace begins with a request, or with a refund that a worker pays. The refund's row keeps the
W3C `traceparent` of the transaction that queued it, so that asking and paying are one trace.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from jitui.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import SpanKind, Tracer

Attributes = Mapping[str, str | int | float | bool]

_TRACE_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """Something that takes time, within a trace."""

    @property
    def trace_id(self) -> str | None:
        """The id of the trace, as 32 hexadecimal digits; None when there is none."""
        ...

    def rename(self, name: str) -> None:
        """Another name, for what is known later."""
        ...

    def set(self, attributes: Attributes) -> None:
        """Say more."""
        ...

    def failed(self, error: BaseException) -> None:
        """An error that the caller keeps; it is named by its type, since its message may quote a row."""
        ...


class _NoSpan:
    """What a span is while there is no trace."""

    trace_id: str | None = None

    def rename(self, name: str) -> None:
        """Nothing."""

    def set(self, attributes: Attributes) -> None:
        """Nothing."""

    def failed(self, error: BaseException) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


_NO_SPAN = _NoSpan()

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def configure(settings: Settings, process: str) -> None:
    """Send traces to the collector of the settings, if one is set; `process` is `api` or `worker`."""
    if settings.traces_url is not None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = OTLPSpanExporter(endpoint=settings.traces_url)
        start(BatchSpanProcessor(exporter), process=process, percent=settings.traces_percent)


def start(processor: SpanProcessor, *, process: str, percent: int = 100) -> None:
    """From now on spans go to this processor."""
    global _provider, _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    stop()
    about = {"service.name": f"jitui-{process}", "service.namespace": "jitui", "service.version": version("jitui")}
    _provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(percent / 100)), resource=Resource.create(about))
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("jitui")


def stop() -> None:
    """Send what was not sent yet; from now on traces are off."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def trace_id_of(trace_parent: str | None) -> str | None:
    """The id of the trace in a `traceparent`; None when it is not in the form of W3C Trace Context, version 00."""
    found = None if trace_parent is None else _TRACE_PARENT.fullmatch(trace_parent)
    return None if found is None else found[1]


def current_trace_parent() -> str | None:
    """The current span as a `traceparent`, to be kept where the trace goes on; None while there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def request_span(trace_parent: str | None) -> AbstractContextManager[Span]:
    """A request that has arrived; its caller's `traceparent`, if it sent one in the right form, is continued."""
    if _tracer is None:
        return _NO_SPAN
    from opentelemetry.trace import SpanKind

    return _Started(_tracer, "request", SpanKind.SERVER, {}, trace_parent)


def continued_span(name: str, trace_parent: str | None, attributes: Attributes) -> AbstractContextManager[Span]:
    """Work that was queued within another span, maybe in another process; without its `traceparent` a new trace."""
    if _tracer is None:
        return _NO_SPAN
    from opentelemetry.trace import SpanKind

    return _Started(_tracer, name, SpanKind.CONSUMER, attributes, trace_parent)


def span(name: str, attributes: Attributes | None = None, *, calls_out: bool = False) -> AbstractContextManager[Span]:
    """A part of what the current span is about; nothing where there is no trace. `calls_out`: to another system."""
    if _tracer is None:
        return _NO_SPAN
    from opentelemetry.trace import SpanKind, get_current_span

    if not get_current_span().get_span_context().is_valid:
        return _NO_SPAN
    return _Started(_tracer, name, SpanKind.CLIENT if calls_out else SpanKind.INTERNAL, attributes or {})


class _Started:
    """A span of OpenTelemetry's."""

    def __init__(
        self, tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes, trace_parent: str | None = None
    ) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, use_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = None
        if trace_id_of(trace_parent) is not None:
            context = TraceContextTextMapPropagator().extract({"traceparent": trace_parent or ""}, Context())
        elif kind in (SpanKind.SERVER, SpanKind.CONSUMER):
            context = Context()
        self._span = tracer.start_span(name, context, kind, dict(attributes))
        self._used = use_span(self._span, end_on_exit=True, record_exception=False, set_status_on_exception=False)

    @property
    def trace_id(self) -> str | None:
        return f"{self._span.get_span_context().trace_id:032x}"

    def rename(self, name: str) -> None:
        """Another name."""
        self._span.update_name(name)

    def set(self, attributes: Attributes) -> None:
        """Say more."""
        self._span.set_attributes(dict(attributes))

    def failed(self, error: BaseException) -> None:
        """An error."""
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", type(error).__qualname__)
        self._span.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._used.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self._used.__exit__(kind, error, trace)
