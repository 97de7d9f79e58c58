"""Verifies deliveries with the official libraries, unmodified. Prints nothing and ends with 0 where both
accept each delivery as it is, and refuse it when one byte of it is another."""

import json
import sys

import standardwebhooks
import svix

given = json.load(sys.stdin)
LIBRARIES = [
    (standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError),
    (svix.Webhook, svix.WebhookVerificationError),
]

for delivery in given["deliveries"]:
    headers, body = delivery["headers"], delivery["body"]
    for library, refusal in LIBRARIES:
        for secret in given["secrets"]:
            # Raises where it refuses.
            library(secret).verify(body, headers)
        changed = [
            (body.replace("{", "{ ", 1), headers),
            (body, headers | {"webhook-id": headers["webhook-id"] + "x"}),
            (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
            (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}),
        ]
        for body_of_other, headers_of_other in changed:
            try:
                library(given["secrets"][0]).verify(body_of_other, headers_of_other)
            except refusal:
                continue
            sys.exit(f"{library} accepts what was changed: {headers_of_other}")

if not given["deliveries"]:
    sys.exit("nothing to verify")
