// Pushes, pulls and acknowledges with types that openapi-typescript generated from `openapi.json`. What must not compile is marked with
// `@ts-expect-error`: a marked line that compiles is an error of the compiler.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
type Payload = Record<string, unknown>;

const [, , url = "", token = "", admin = ""] = process.argv;
const clientOf = (bearer: string) => createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${bearer}` } });
const client = clientOf(token);
const deviceId = randomUUID();

function describe(result: Schemas["ItemResult"]): string {
  switch (result.status) {
    case "ok":
      // @ts-expect-error an `ok` has no code
      void result.code;
      return `${result.server_id} ${result.server_version.toFixed()} ${result.merged ?? false}`;
    case "conflict": {
      const code: Schemas["ItemCode"] = result.code;
      // @ts-expect-error a conflict is not retryable
      void result.retryable;
      return `${result.conflict_id} ${code} ${result.server_version?.toFixed() ?? "none"}`;
    }
    case "error": {
      const retryable: boolean = result.retryable;
      // @ts-expect-error an error has no conflict
      void result.conflict_id;
      return `${result.code} ${retryable} ${result.error}`;
    }
  }
}

function apply(rows: Map<string, Payload>, change: Schemas["Change"]): void {
  switch (change.action) {
    case "create":
    case "update": {
      const payload: Payload = change.payload;
      rows.set(change.id, payload);
      return;
    }
    case "delete":
      // @ts-expect-error a delete has no payload
      void change.payload;
      rows.delete(change.id);
  }
}

// What requests may and may not be.
const withoutLimit: Schemas["PullRequest"] = { since_token: null };
const nested: Schemas["PushItem"] = { resource_type: "meter", action: "create", client_version: 0, payload: { id: "m", list: [{ a: 1.5 }] } };
const withoutPayload: Schemas["PushItem"] = { resource_type: "meter", action: "delete", client_version: 1, client_temp_id: randomUUID() };
const merge: Schemas["ResolveRequest"] = { resolution: "manual_merge", payload: { reading: 3 } };
// @ts-expect-error an update has a payload
const update: Schemas["PushItem"] = { resource_type: "meter", action: "update", client_version: 1 };
// @ts-expect-error a manual_merge has a payload
const empty: Schemas["ResolveRequest"] = { resolution: "manual_merge" };
// @ts-expect-error nothing else has one
const both: Schemas["ResolveRequest"] = { resolution: "accept_client", payload: { reading: 3 } };
void [withoutLimit, nested, withoutPayload, merge, update, empty, both];

async function pushed(items: Schemas["PushItem"][]): Promise<Schemas["ItemResult"][]> {
  const body = { device_id: deviceId, client_sync_token: null, batch_id: randomUUID(), items };
  const { data, error } = await client.POST("/api/v1/mobile/sync/push", { body });
  assert(data, JSON.stringify(error));
  return data.results;
}

async function pulled(): Promise<[Map<string, Payload>, string]> {
  const rows = new Map<string, Payload>();
  let since: string | null = null;
  for (;;) {
    const { data, error } = await client.POST("/api/v1/mobile/sync/pull", { body: { since_token: since } });
    assert(data, JSON.stringify(error));
    const page: Schemas["PullResponse"] = data;
    page.changes.forEach((change) => apply(rows, change));
    since = page.next_token;
    if (!page.has_more) return [rows, since];
  }
}

const [id, code] = [randomUUID(), randomUUID()];
const [created, taken, missing] = await pushed([
  { resource_type: "meter", action: "create", client_version: 0, payload: { id, code, reading: 41.5, tags: ["a", { deep: null }] } },
  { resource_type: "meter", action: "create", client_version: 0, payload: { id: randomUUID(), code } },
  { resource_type: "meter", action: "delete", client_version: 1, base_version: 1, payload: { id: randomUUID() } },
]);
assert(created && taken && missing);
assert.equal(describe(created), `${id} 1 false`);
assert(taken.status === "conflict" && missing.status === "error", describe(taken) + describe(missing));
assert.equal(taken.code, "unique_violation");
assert.equal(taken.holder_id, id);

const [rows, next] = await pulled();
assert.deepEqual(rows.get(id), { code, reading: 41.5, tags: ["a", { deep: null }] });
const acked = await client.POST("/api/v1/mobile/sync/ack", { body: { ack_token: next, device_id: deviceId } });
assert(acked.data?.channels.includes("tenant"), JSON.stringify(acked.error));

// An admin decides the conflict, and the audit log says so.
const root = clientOf(admin);
const shown = await root.GET("/api/v1/mobile/conflicts/{id}", { params: { path: { id: taken.conflict_id } } });
assert(shown.data?.status === "open");
const body: Schemas["ResolveRequest"] = { resolution: "manual_merge", payload: { code: randomUUID() } };
const decided = await root.POST("/api/v1/mobile/conflicts/{id}/resolve", { params: { path: { id: taken.conflict_id } }, body });
assert.equal(decided.data?.server_version, 1, JSON.stringify(decided.error));
const audit = await root.GET("/api/v1/mobile/audit", { params: { query: { limit: 1 } } });
const [entry] = audit.data?.entries ?? [];
assert(entry?.action === "conflict_resolved");
assert.equal(entry.resolution, "manual_merge");
assert.deepEqual(Object.keys(entry.after?.payload ?? {}), ["code"]);

// A problem is narrowed to the codes of its status.
const refused = await client.GET("/api/v1/mobile/conflicts");
assert(refused.error);
assert(refused.error.status === 403 && refused.error.code === "forbidden");
