// The local runner: starts it, fills a tenant with the demo data, and calls its API as devices and
// admins do. Requests and responses are texts, because `JSON.parse` changes the digits of numbers.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const START_SECONDS_MAX = 30;
const REQUEST_SECONDS_MAX = 20;
const run = promisify(execFile);

export class Runner {
  /** Starts a runner with in-memory storage on a free port. */
  static async start(binary) {
    const arguments_ = ["--memory", "--port", "0"];
    const child = spawn(binary, arguments_, { stdio: ["ignore", "pipe", "ignore"] });
    process.on("exit", () => child.kill());

    const timer = setTimeout(() => child.kill(), START_SECONDS_MAX * 1000);
    let url;
    for await (const line of createInterface({ input: child.stdout })) {
      url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
      if (url) break;
    }
    clearTimeout(timer);
    child.stdout.resume();
    if (!url) throw new Error("the runner did not start");
    return new Runner(binary, child, url);
  }

  constructor(binary, child, url) {
    this.binary = binary;
    this.child = child;
    this.url = url;
    this.console = `${url}/console`;
  }

  stop() {
    this.child.kill();
  }

  /** Fills a tenant with the demo data. */
  async demo(tenant) {
    await run(this.binary, ["demo", "--url", this.url, "--tenant", tenant]);
  }

  /** Returns the API as a user sees it. */
  async api(tenant, user, { roles = [], groups = [] } = {}) {
    const listed = (name, values) => values.flatMap((value) => [name, value]);
    const { stdout } = await run(this.binary, [
      ...["token", "--tenant", tenant, "--user", user],
      ...listed("--role", roles),
      ...listed("--channel", groups),
    ]);
    return new Api(`${this.url}/api/v1/mobile/`, stdout.trim());
  }
}

class Api {
  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  /** Requests a route and returns the text of its response, which has status 200. */
  async text(method, route, body) {
    const response = await fetch(this.base + route, {
      method,
      body,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      signal: AbortSignal.timeout(REQUEST_SECONDS_MAX * 1000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return text;
  }

  async get(route) {
    return JSON.parse(await this.text("GET", route));
  }

  async post(route, body) {
    return JSON.parse(await this.text("POST", route, JSON.stringify(body)));
  }

  /** Pushes items of a device. Each item is JSON text. Returns their results. */
  async push(device, items) {
    const parts = `"device_id":${JSON.stringify(device)},"client_sync_token":null`;
    const body = `{${parts},"items":[${items.join(",")}]}`;
    return JSON.parse(await this.text("POST", "sync/push", body)).results;
  }
}

/** Returns the JSON text of an item that creates a meter with this payload, which is JSON text. */
export function created(payload) {
  return `{"resource_type":"meter","action":"create","client_version":0,"payload":${payload}}`;
}

/** Returns the JSON text of an item that edits a version of a meter. */
export function updated(version, payload) {
  const versions = `"client_version":${version},"base_version":${version}`;
  return `{"resource_type":"meter","action":"update",${versions},"payload":${payload}}`;
}

/** Returns the JSON text of an item that deletes a version of a meter. */
export function deleted(version, id) {
  const versions = `"client_version":${version},"base_version":${version}`;
  const payload = `{"id":${JSON.stringify(id)}}`;
  return `{"resource_type":"meter","action":"delete",${versions},"payload":${payload}}`;
}
