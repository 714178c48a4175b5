// The data of the scenarios.

import { created, updated } from "./runner.mjs";

/** A payload whose digits and key order `JSON.parse` and `JSON.stringify` would change. */
const BASE =
  '"serial":9007199254740993,"reading":44,"note":"front door","checked":false,"price":1.0,"2":1e2';

/**
 * Creates a meter, which the office edits, and which a phone edits without having seen that.
 * Returns the id of the conflict, and the version of the server.
 */
export async function conflict(stage, { id = "m-1", user = "ana", phone = "phone" } = {}) {
  const name = `"id":${JSON.stringify(id)}`;
  const office = await stage.api();
  const meter = created(`{${name},"code":${JSON.stringify(id)},${BASE}}`);
  accepted(await office.push("office", [meter]));
  accepted(await office.push("office", [updated(1, `{${name},"reading":50,"checked":true}`)]));

  const device = await stage.api(user, []);
  const edit = updated(1, `{${name},"reading":42.50,"note":"in cellar"}`);
  const [result] = await device.push(phone, [edit]);
  if (result.status !== "conflict") throw new Error(`not a conflict: ${JSON.stringify(result)}`);
  return { id: result.conflict_id, meter: id, version: result.server_version };
}

/** Throws an error unless all items were applied. */
export function accepted(results) {
  const rejected = results.filter(({ status }) => status !== "ok");
  if (rejected.length > 0) throw new Error(`rejected: ${JSON.stringify(rejected)}`);
}

/** Waits until devices receive this content of a meter, which is JSON text. */
export async function delivered(stage, payload) {
  const office = await stage.api();
  const request = JSON.stringify({ since_token: null, device_id: "reader" });
  let text = "";
  for (let attempt = 0; attempt < 50; attempt += 1) {
    text = await office.text("POST", "sync/pull", request);
    if (text.includes(`"payload":${payload}`)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no device receives ${payload}, but ${text}`);
}

/** The values of the server, and of the device where only it changed them. */
const DECIDED = { reading: "50", note: '"in cellar"', checked: "true" };

/** Returns the content of a conflict's meter after its resolution, as JSON text. */
export function content({ meter = "m-1", ...values } = {}) {
  const { reading, note, checked } = { ...DECIDED, ...values };
  const code = JSON.stringify(meter);
  const fields = `"reading":${reading},"note":${note},"checked":${checked}`;
  return `{"code":${code},"serial":9007199254740993,${fields},"price":1.0,"2":1e2}`;
}
