"""A small app with one function per behaviour that the local Functions host must show."""

import asyncio
import base64
import json
import os
import time
from pathlib import Path
from typing import List  # noqa: UP035 - the worker library does not accept Out[list[str]]

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
FAILURES = 2


def note(name: str, **facts: object) -> None:
    """Append a line to the file that the tests read."""
    line = json.dumps({"name": name, "at": time.time(), "pid": os.getpid(), **facts})
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@app.route(route="o/{*rest}", methods=["GET", "HEAD"])
async def pixel(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(GIF, mimetype="image/gif", headers={"Content-Length": "999", "Server": "app", "Date": "x"})


@app.route(route="orders/{id:int}", methods=["GET"])
async def order_by_number(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"number {req.route_params['id']}")


@app.route(route="orders/{name}", methods=["GET"])
async def order_by_name(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"name {req.route_params['name']}")


@app.route(route="orders/{shadowed}", methods=["GET"])
async def order_never(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("shadowed")


@app.route(route="echo/{*rest}", methods=["GET", "POST", "PUT"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "rest": req.route_params.get("rest"),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "size": len(req.get_body()),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="sync", methods=["GET"])
def in_thread(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse(f"{context.function_name} {len(context.invocation_id)}", status_code=201)


@app.route(route="cookies", methods=["GET"])
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(status_code=204)
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; Max-Age=60; SameSite=Lax")
    return response


@app.route(route="broken", methods=["GET"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a detail that must stay inside")


@app.route(route="locked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(1)
    return func.HttpResponse("finished")


@app.route(route="enqueue", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
async def enqueue(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    out.set(req.get_json())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage) -> None:
    text = message.get_body().decode()
    note("work", text=text, attempt=message.dequeue_count, id=message.id, inserted=message.insertion_time is not None)
    kind, _, argument = text.partition(":")
    if kind == "sleep":
        await asyncio.sleep(float(argument))
        note("slept", text=text)
    elif kind == "fail" or (kind == "flaky" and (message.dequeue_count or 0) <= FAILURES):
        raise ValueError("the message is not to its liking")


@app.queue_trigger(arg_name="message", queue_name="copies", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="$return", queue_name="copied", connection="AzureWebJobsStorage")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def copy(message: func.QueueMessage, context: func.Context) -> str:
    note("copy", attempt=message.dequeue_count, retry=context.retry_context.retry_count)
    if context.retry_context.retry_count < FAILURES:
        raise ValueError("not yet")
    return f"copy of {message.get_body().decode()}"


@app.timer_trigger(schedule="%EVERY_SECOND%", arg_name="timer")
async def tick(timer: func.TimerRequest) -> None:
    note("tick", past_due=timer.past_due)
    await asyncio.sleep(1.2)
    note("tock")


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
async def yearly(timer: func.TimerRequest) -> None:
    note("yearly", past_due=timer.past_due)


@app.timer_trigger(schedule="%NOT_SET%", arg_name="timer")
async def unscheduled(timer: func.TimerRequest) -> None:
    note("unscheduled")
