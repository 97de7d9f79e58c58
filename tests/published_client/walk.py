"""Every call of the client that is on PyPI as `onerouter` 2.0.6, unmodified, against a gateway whose
providers are emulated. Prints nothing and ends with 0 where all of them did what the client's own
documentation says."""

import asyncio
import json
import os
import types
import urllib.request

from onerouter import APIError, OneRouter, OneRouterSync, ValidationError
from onerouter import communications

BASE = os.environ["ONEROUTER_BASE_URL"]
KEY = os.environ["ONEROUTER_API_KEY"]
# {"razorpay": {"currency": …, "method": …, "plans": [ours, ours]}, …}
PROVIDERS = json.loads(os.environ["ONEROUTER_PROVIDERS"])
SANDBOX = os.environ["ONEROUTER_SANDBOX_URL"]
# Moves the clocks of gateway and sandbox on by some seconds.
LATER = os.environ["ONEROUTER_LATER_URL"]


def post(url, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def approve(provider_id):
    post(f"{SANDBOX}/_sandbox/checkouts/{provider_id}", {"action": "approve"})
    post(LATER)


def bill(provider_id):
    post(f"{SANDBOX}/_sandbox/subscriptions/{provider_id}/cycle", {"charge": "succeed"})
    post(LATER)


async def refused(call):
    try:
        answer = await call
    except ValidationError as error:
        assert "not supported" in str(error), error
        return
    raise AssertionError(f"not refused: {answer}")


async def payments(client, provider, facts):
    order = await client.payments.create(
        amount=500.00,
        currency=facts["currency"],
        method=facts["method"],
        provider=provider,
        receipt="r-17",
        notes={"order": "17"},
        idempotency_key=f"pay-{provider}",
        upi_app="gpay",
        emi_plan="3_months",
        card_network="visa",
        wallet_provider="paytm",
        bank_code="HDFC",
        save_card=True,
    )
    assert order["transaction_id"] == order["id"], order
    assert order["provider"] == provider and order["provider_order_id"], order
    assert order["amount"] == 500.00 and order["currency"] == facts["currency"], order
    assert order["checkout_url"].startswith("http"), order
    assert order["payment_method"] == facts["method"] and order["method_details"] == {}, order
    again = await client.payments.create(
        amount=500.00,
        currency=facts["currency"],
        method=facts["method"],
        provider=provider,
        receipt="r-17",
        notes={"order": "17"},
        idempotency_key=f"pay-{provider}",
        upi_app="gpay",
        emi_plan="3_months",
        card_network="visa",
        wallet_provider="paytm",
        bank_code="HDFC",
        save_card=True,
    )
    assert again["transaction_id"] == order["transaction_id"]

    approve(order["provider_order_id"])
    paid = await client.payments.get(order["transaction_id"])
    assert paid["status"] == "succeeded", paid

    part = await client.payments.refund(
        order["transaction_id"],
        amount=100.00,
        reason="customer_request",
        speed="optimum",
        notes={"case": "9"},
    )
    assert part["refund_id"] and part["amount"] == 100.00, part
    # The rest, by the provider's own id.
    rest = await client.payments.refund(order["provider_order_id"])
    assert rest["amount"] == 400.00, rest
    try:
        await client.payments.refund(order["transaction_id"], amount=1.00)
    except APIError as error:
        assert error.status_code == 409, error
    else:
        raise AssertionError("more was refunded than was paid")


async def subscriptions(client, provider, facts):
    first, second = facts["plans"]
    made = await client.subscriptions.create(
        plan_id=first, customer_notify=False, total_count=12, quantity=1, provider=provider
    )
    theirs = made["provider_data"]["id"]
    assert made["checkout_url"].startswith("http"), made
    approve(theirs)
    seen = await client.subscriptions.get(made["id"])
    if seen["status"] != "active":
        bill(theirs)
        seen = await client.subscriptions.get(made["id"])
    assert seen["status"] == "active", seen
    assert (await client.subscriptions.pause(made["id"], pause_at="now"))["status"] == "paused"
    assert (await client.subscriptions.resume(made["id"]))["status"] == "active"
    changed = await client.subscriptions.change_plan(made["id"], second)
    if changed["plan_id"] != second:
        # The buyer has to agree.
        approve(theirs)
        changed = await client.subscriptions.get(made["id"])
    assert changed["plan_id"] == second, changed
    assert (await client.subscriptions.cancel(made["id"]))["status"] == "canceled"

    late = await client.subscriptions.create(plan_id=first, trial_days=7)
    approve(late["provider_data"]["id"])
    late = await client.subscriptions.get(late["id"])
    assert late["provider"] == provider and late["status"] == "trialing", late
    dated = await client.subscriptions.create(plan_id=first, start_date=facts["start_date"])
    assert dated["status"] == "created", dated


async def payment_links(client):
    made = await client.payment_links.create(
        amount=250.50,
        description="Blue chairs",
        customer_email="ada@example.com",
        callback_url="https://shop.example/paid",
        notes={"user_id": "7"},
        environment="test",
        provider="razorpay",
    )
    assert made["id"] and made["short_url"].startswith("http"), made
    assert made["amount"] == 250.50 and made["currency"] == "INR", made


async def messages(client):
    sms = await client.sms.send(to="+14155550123", body="Your code is 1", idempotency_key="sms-1")
    again = await client.sms.send(to="+14155550123", body="Your code is 1", idempotency_key="sms-1")
    assert again["message_id"] == sms["message_id"] and sms["service"] == "twilio", sms
    assert (await client.sms.get_status(sms["message_id"]))["message_id"] == sms["message_id"]
    email = await client.email.send(
        to="ada@example.com", subject="Hi", html_body="<p>Hi</p>", text_body="Hi", idempotency_key="em-1"
    )
    assert email["service"] == "resend", email
    assert (await client.email.get_status(email["email_id"]))["email_id"] == email["email_id"]
    # The same calls of the second module, whose paths begin behind the version.
    plain = types.SimpleNamespace(base_url=f"{BASE}/v1", api_key=KEY)
    sms = await communications.SMSResource(plain).send(to="+14155550123", body="Hi")
    assert sms["message_id"], sms
    email = await communications.EmailResource(plain).send(to="ada@example.com", subject="Hi", text_body="Hi")
    assert email["email_id"], email


async def what_no_provider_has(client):
    saved, market = client.saved_payment_methods, client.marketplace
    for call in [
        saved.list(),
        saved.save("pm_1", nickname="Mine"),
        saved.update("pm_1", nickname="Yours"),
        saved.delete("pm_1"),
        market.create_split_payment(amount=100.00, splits=[{"account_id": "v", "amount": 100.00}]),
        market.get_split_payment("pay_1"),
        market.list_vendor_accounts(),
        market.add_vendor_account("vendor_1", "Vendor", {"account": "1"}),
        market.update_vendor_split("vendor_1", "percentage", split_percentage=10.0),
        market.get_platform_fees(),
        market.process_bulk_splits([{"payment_id": "pay_1"}]),
    ]:
        await refused(call)


async def walk():
    async with OneRouter(api_key=KEY, base_url=BASE) as client:
        for provider, facts in PROVIDERS.items():
            await payments(client, provider, facts)
            await subscriptions(client, provider, facts)
        await payment_links(client)
        await messages(client)
        await what_no_provider_has(client)


def walk_without_async():
    client = OneRouterSync(api_key=KEY, base_url=BASE)
    try:
        order = client.payments.create(amount=10.00)
        assert order["provider"] == "razorpay" and order["currency"] == "INR", order
        assert client.payments.get(order["transaction_id"])["id"] == order["id"]
        link = client.payment_links.create(amount=10.00, description="One chair")
        assert link["short_url"], link
        plan = PROVIDERS["razorpay"]["plans"][0]
        made = client.subscriptions.create(plan_id=plan)
        assert client.subscriptions.get(made["id"])["id"] == made["id"]
        assert client.subscriptions.cancel(subscription_id=made["id"])["status"] == "canceled"
    finally:
        client.close()


asyncio.run(walk())
walk_without_async()
