"""A function on the Python FDK that speaks the request format of examples/probe, to compare the two.

Run it as `fdk python_fdk.py handler`. What that FDK has no means for (repeated headers, a streamed reply) is done as
well as it lets a handler do it.
"""

import json
import os
import sys
import threading
import time
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from fdk import response

calls = 0

# Where a function on this FDK loads its state: as its module is imported.
time.sleep(int(os.environ.get("PROBE_INIT_SLEEP_MS", "0")) / 1000)
if os.environ.get("PROBE_INIT_FAIL"):
    raise RuntimeError(os.environ["PROBE_INIT_FAIL"])


def reply(ctx, body, content_type, headers=None, status=200):
    headers = dict(headers or {})
    if content_type:
        headers["Content-Type"] = content_type
    return response.Response(ctx, response_data=body, headers=headers, status_code=status)


def behind_trigger(ctx):
    return ctx.Headers().get("fn-intent") == "httprequest"


def caller_headers(ctx):
    """What the caller of the function sent: the HTTP request's headers behind a trigger, else all of them."""
    return ctx.HTTPHeaders() if behind_trigger(ctx) else ctx.Headers()


def instant(deadline):
    try:
        return int(datetime.fromisoformat(deadline).timestamp())
    except (TypeError, ValueError):
        return None


def context(ctx):
    trace = ctx.TracingContext()
    url = urlsplit(ctx.RequestURL() or "")
    memory = ctx.Config().get("FN_MEMORY")
    return {
        "calls": calls,
        "call_id": ctx.CallID(),
        "deadline": instant(ctx.Deadline()),
        "app_id": ctx.AppID(),
        "fn_id": ctx.FnID(),
        "app_name": ctx.AppName(),
        "fn_name": ctx.FnName(),
        "memory": memory and int(memory) * 1024 * 1024,
        "http": {
            "method": ctx.Method(),
            "url": ctx.RequestURL(),
            "path": url.path,
            "query": [list(pair) for pair in parse_qsl(url.query, keep_blank_values=True)],
        } if behind_trigger(ctx) else None,
        "trace": {
            "enabled": trace.is_tracing_enabled(),
            "collector_url": trace.trace_collector_url(),
            "service_name": trace.service_name(),
            "trace_id": trace.trace_id(),
            "span_id": trace.span_id(),
            "parent_span_id": trace.parent_span_id(),
            "sampled": trace.is_sampled(),
            "flags": trace.flags(),
        },
    }


def show(ctx, what):
    if what == "env":
        return dict(ctx.Config())
    if what == "headers":
        return {name: [value] for name, value in caller_headers(ctx).items()}
    if what == "context":
        return context(ctx)
    if what == "threads":
        return {"threads": threading.active_count()}
    raise ValueError(f"'{what}' is none of env, headers, context, threads")


KNOBS = {
    "sleep_ms", "block_ms", "panic", "error", "exit", "status", "headers", "content_type", "echo", "echo_headers",
    "body_bytes", "stream_chunks", "log", "show",
}


def handler(ctx, data=None):
    global calls
    calls += 1
    body = data.getvalue()
    try:
        knobs = json.loads(body)
    except ValueError:
        knobs = None
    if not isinstance(knobs, dict):
        return reply(ctx, body, ctx.Headers().get("content-type", "application/octet-stream"))
    if unknown := knobs.keys() - KNOBS:
        raise ValueError(f"unknown field {unknown}")
    if line := knobs.get("log"):
        for stream in (sys.stdout, sys.stderr):
            try:
                print(line, file=stream, flush=True)
            except (OSError, AttributeError):
                pass  # closed, which is not what is tested here
    time.sleep((knobs.get("sleep_ms", 0) + knobs.get("block_ms", 0)) / 1000)
    if "exit" in knobs:
        os._exit(knobs["exit"])
    if message := knobs.get("panic") or knobs.get("error"):
        raise RuntimeError(message)
    headers = {name: values if len(values) > 1 else values[0] for name, values in knobs.get("headers", {}).items()}
    content_type = knobs.get("content_type")
    if knobs.get("echo"):
        out, default = body, ctx.Headers().get("content-type")
    elif "show" in knobs:
        out, default = json.dumps(show(ctx, knobs["show"])), "application/json"
    elif "body_bytes" in knobs or "stream_chunks" in knobs:
        out, default = b"x" * (knobs.get("body_bytes", 1024) * min(knobs.get("stream_chunks", 1), 1000)), None
    else:
        out, default = '{"ok":true}', "application/json"
    seen = {name.lower(): value for name, value in caller_headers(ctx).items()}
    for name in knobs.get("echo_headers", []):
        if name.lower() in seen:
            headers[name] = seen[name.lower()]
    return reply(ctx, out, content_type or default, headers, knobs.get("status", 200))
