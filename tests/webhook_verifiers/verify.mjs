// Verifies deliveries with the official libraries, unmodified, and `v1a`, which they do not know, with
// Node's own cryptography. Prints nothing and ends with 0 where each delivery is accepted as it is, and
// refused when one byte of it is another.
//
// Run with the folder of the libraries as its argument.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/package.json`);
const libraries = [require("standardwebhooks").Webhook, require("svix").Webhook];
const given = JSON.parse(readFileSync(0, "utf8"));
assert.notEqual(given.deliveries.length, 0, "nothing to verify");

// The bytes before a raw Ed25519 key in the form that Node reads.
const KEY_HEAD = Buffer.from("302a300506032b6570032100", "hex");

function byEd25519(publicKey, { headers, body }) {
  const raw = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64");
  const key = createPublicKey({
    key: Buffer.concat([KEY_HEAD, raw]),
    format: "der",
    type: "spki",
  });
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const signatures = headers["webhook-signature"].split(" ").map((one) => one.split(","));
  return signatures.some(
    ([version, signature]) =>
      version === "v1a" &&
      verify(null, Buffer.from(content), key, Buffer.from(signature, "base64")),
  );
}

for (const delivery of given.deliveries) {
  const { headers, body } = delivery;
  const later = String(Number(headers["webhook-timestamp"]) + 1);
  const changed = [
    { headers, body: body.replace("{", "{ ") },
    { headers: { ...headers, "webhook-id": `${headers["webhook-id"]}x` }, body },
    { headers: { ...headers, "webhook-timestamp": later }, body },
  ];
  for (const Webhook of libraries) {
    for (const secret of given.secrets) {
      assert.deepEqual(new Webhook(secret).verify(body, headers), JSON.parse(body));
      for (const other of changed) {
        assert.throws(() => new Webhook(secret).verify(other.body, other.headers));
      }
    }
  }
  for (const publicKey of given.public_keys) {
    assert.ok(byEd25519(publicKey, delivery), "v1a is not accepted");
    for (const other of changed) {
      assert.ok(!byEd25519(publicKey, other), "v1a accepts what was changed");
    }
  }
}
