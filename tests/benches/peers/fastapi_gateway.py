"""What a gateway on FastAPI would do at least: the same JSON mapping, no keys, limits or database.

`PROVIDER` is the provider's base URL, `CLIENT` is `httpx` or `aiohttp`.
"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from pydantic import BaseModel

PROVIDER = os.environ["PROVIDER"]
CLIENT = os.environ["CLIENT"]
ACCOUNT = "AC00000000000000000000000000000b01"
TOKEN = "benchmarktoken000000000000000001"
URL = f"{PROVIDER}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
STATUSES = {"accepted": "queued", "queued": "queued", "sending": "sending", "sent": "sent"}


class SendSms(BaseModel):
    to: str
    body: str
    from_number: str = "+12025550142"


class Sms(BaseModel):
    id: str
    object: str = "sms"
    status: str
    to: str
    from_number: str
    segments: int


if CLIENT == "httpx":
    import httpx

    def new_client():
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        return httpx.AsyncClient(limits=limits, auth=(ACCOUNT, TOKEN), trust_env=False)

    async def post(client, form):
        answer = await client.post(URL, data=form)
        return answer.status_code, answer.json()

    async def close(client):
        await client.aclose()

else:
    import aiohttp

    def new_client():
        connector = aiohttp.TCPConnector(limit=64)
        auth = aiohttp.BasicAuth(ACCOUNT, TOKEN)
        return aiohttp.ClientSession(connector=connector, auth=auth)

    async def post(client, form):
        async with client.post(URL, data=form) as answer:
            return answer.status, await answer.json()

    async def close(client):
        await client.close()


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = new_client()
    yield
    await close(app.state.client)


app = FastAPI(lifespan=lifespan)


@app.get("/api/health/ready")
async def ready() -> dict:
    return {}


@app.post("/v1/sms", status_code=201)
async def send(sms: SendSms, response: Response) -> Sms:
    form = {"To": sms.to, "From": sms.from_number, "Body": sms.body}
    status, message = await post(app.state.client, form)
    if status >= 300:
        response.status_code = 502
    return Sms(
        id=message["sid"],
        status=STATUSES.get(message["status"], "queued"),
        to=sms.to,
        from_number=message["from"],
        segments=int(message["num_segments"]),
    )
