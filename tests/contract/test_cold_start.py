"""What a cold start may load: recipients wait for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NEVER_AT_START = (
    "msgraph",
    "opentelemetry",
    "azure.monitor",
    "azure.storage.blob",
    "azure.identity",
    "babel",
    "crawleruseragents",
    "odata_query",
    "cryptography",
    "holidays",
    "jwt",
    "phonenumbers",
    "shared.webapi",
)
NEVER_FOR_A_HIT = (
    "msgraph",
    "babel",
    "crawleruseragents",
    "opentelemetry",
    "azure.monitor",
    "odata_query",
    "jwt",
    "shared.webapi",
    "shared.graph",
    "azure.data.tables",
)

METRICS_ON = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING": (
        "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/"
    )
}

INDEX = "import function_app; names = [f.get_function_name() for f in function_app.app.get_functions()]"
HIT = """
import asyncio, uuid
import azure.functions as func
from functions import recipients
from shared.engagement.tokens import Token, TokenKind, mint
from shared.settings import settings
from shared.storage.account import close_session

async def hit():
    for kind, function in [("o", recipients.pixel), ("c", recipients.link), ("a", recipients.attachment)]:
        token = Token(1, ORGANIZATION, TokenKind(kind), uuid.uuid4(), 0, 0, "https://example.com/")
        request = func.HttpRequest(
            "GET", "http://127.0.0.1/", headers={"x-forwarded-for": "203.0.113.9"}, body=b"",
            route_params={"rest": mint(token, settings().token_secrets)},
        )
        answer = await function._function.get_user_function()(request)
        assert answer.status_code in (200, 302), answer.status_code
    await close_session()

asyncio.run(hit())
"""


def modules_after(script):
    """Return the names of all modules that a fresh interpreter holds after running `script` in the repository.

    Metrics are on, to an endpoint that nobody answers at.
    """
    command = [sys.executable, "-c", script + "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **METRICS_ON})
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def loaded(names, modules):
    return [module for module in modules if any(module == name or module.startswith(f"{name}.") for name in names)]


def test_indexing_the_app_loads_nothing_that_recipients_do_not_need(configured):
    assert loaded(NEVER_AT_START, modules_after(INDEX)) == []


@pytest.mark.parametrize("before", ["", INDEX])
def test_a_hit_loads_neither_graph_nor_the_web_api(organization, before):
    modules = modules_after(f"ORGANIZATION = {organization.name!r}\n{before}\n{HIT}")
    assert loaded(NEVER_FOR_A_HIT, modules) == []
    assert "shared.storage.journal" in modules, "the hit was recorded"


def test_threads_of_pure_work_let_the_loop_have_its_turn_after_a_millisecond():
    program = "import function_app, sys; print(sys.getswitchinterval())"
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(said.stdout.split()[-1]) == pytest.approx(0.001)
