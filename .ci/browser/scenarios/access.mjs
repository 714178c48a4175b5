// Scenarios of what users may see and do, and of content that tries to be more than text.

import assert from "node:assert/strict";

import { accepted, conflict } from "../data.mjs";
import { created, updated } from "../runner.mjs";

/** A viewer reads everything and is offered no action. */
async function viewerHasNoAction(stage) {
  const { id } = await conflict(stage);
  const viewer = await stage.enter({ user: "vera", roles: ["viewer"] });
  const { page } = viewer;
  viewer.expected.add(403);

  const addresses = await viewer.navigation();
  assert(addresses.length > 4, `only ${addresses.length} pages`);
  for (const address of [...addresses, `conflicts/${id}`]) {
    assert.equal(await viewer.goto(address), 200);
    const forms = await page.locator("main form[method=post]").count();
    assert.equal(forms, 0, `${address} has an action`);
  }

  // A form that the page does not offer is rejected, too.
  const action = `${stage.runner.console}/conflicts/${id}`;
  const [response] = await Promise.all([
    page.waitForResponse((received) => received.request().method() === "POST"),
    page.evaluate((target) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "post", action: target });
      document.body.append(form);
      form.submit();
    }, action),
  ]);
  assert.equal(response.status(), 403);
  const root = await stage.api();
  assert.equal((await root.get(`conflicts/${id}`)).status, "open");
}

/** The id of a conflict of another tenant is as unknown as an id that does not exist. */
async function otherTenantIsUnknown(stage) {
  const { id } = await conflict(stage);
  const foreign = await stage.enter({ user: "root" });
  foreign.expected.add(404);
  await foreign.context.clearCookies();
  await foreign.goto("sign-in");
  await foreign.signIn(`${stage.tenant}-other`, "root");

  const shown = async (path) => {
    const status = await foreign.goto(path);
    const text = await foreign.page.locator("main").innerText();
    return `${status} ${text.replaceAll(/[\w-]{20,}|[0-9a-f]{8,}/g, "*")}`;
  };
  const [other, unknown] = [await shown(`conflicts/${id}`), await shown("conflicts/conf-unknown")];
  assert.match(other, /^404/);
  assert.equal(other, unknown);
  await foreign.goto("conflicts?status=all");
  assert(!(await foreign.page.content()).includes(id));
}

/** Without a role, only the help is offered, and every other page is rejected. */
async function userWithoutRoleReadsHelp(stage) {
  const user = await stage.enter({ user: "olga", roles: [] });
  user.expected.add(403);
  assert.deepEqual(await user.page.locator("nav[aria-label=Pages] a").allInnerTexts(), ["Help"]);
  assert.equal(await user.goto("conflicts"), 403);
  await stage.inspect(user, "the rejection");
}

/** After the sign-out, pages lead to the sign-in, and from there back. */
async function signOutEndsSession(stage) {
  const root = await stage.enter();
  const { page } = root;
  await root.goto("conflicts?type=meter");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { level: 1, name: "Signed out" }).waitFor();
  assert.deepEqual(await root.context.cookies(), []);

  await root.goto("conflicts?type=meter");
  assert.match(page.url(), /\/console\/sign-in\?/);
  await root.signIn(stage.tenant, "root");
  assert.match(page.url(), /\/console\/conflicts\?type=meter$/);
}

const SCRIPT = "<script>alert(1)</script>";
const IMAGE = "<img src=x onerror=alert(1)>";
const REVERSED = "\u202egnihton\u202c";
const ARABIC = "عداد الماء";
const LONG = "Donaudampfschifffahrtsgesellschaft".repeat(6);

/** Names and payloads with tags, marks of direction and long words are text on every page. */
async function hostileContentIsText(stage) {
  const names = { user: `${IMAGE}${REVERSED}`, phone: `${SCRIPT}${LONG}` };
  const { id } = await conflict(stage, { id: "m-plain", ...names });
  const office = await stage.api();
  const phone = await stage.api(names.user, []);
  const texts = [SCRIPT, IMAGE, REVERSED, ARABIC, LONG, '"><b>', "'--", "${7*7}"];
  const payload = Object.fromEntries(texts.map((text) => [text, { [text]: [text, text] }]));
  const edited = (suffix) => Object.fromEntries(texts.map((text) => [text, `${text} ${suffix}`]));

  const meter = (make, fields) => make(JSON.stringify({ id: IMAGE, ...fields }));
  const update = (fields) => meter((text) => updated(1, text), fields);
  accepted(await office.push("office", [meter(created, payload)]));
  accepted(await office.push("office", [update(edited("office"))]));
  const [{ conflict_id: hostile }] = await phone.push(names.phone, [update(edited("phone"))]);
  const unknown = { resource_type: IMAGE, action: "create", client_version: 0 };
  await phone.push(names.phone, [JSON.stringify({ ...unknown, payload: { SCRIPT } })]);

  const root = await stage.enter({ user: `${SCRIPT}${ARABIC}${REVERSED}`, width: 360 });
  const { page } = root;
  const open = [`conflicts/${id}`, `conflicts/${hostile}`];
  for (const address of [...(await root.navigation()), ...open]) {
    await isText(stage, root, address);
  }
  const text = await page.locator("main").innerText();
  for (const shown of [SCRIPT, IMAGE, ARABIC, LONG, "U+202E"]) {
    assert(text.includes(shown), `${shown} is not shown`);
  }

  // The note is shown with the outcome and in the audit log.
  const note = `${SCRIPT}${REVERSED}${LONG}`;
  await office.post(`conflicts/${hostile}/resolve`, { resolution: "accept_client", note });
  for (const address of [`conflicts/${hostile}`, "audit", "today", "batches?outcome=conflict"]) {
    await isText(stage, root, address);
  }
}

/** Checks that a page contains no element and no raw mark of direction of the content. */
async function isText(stage, root, address) {
  assert.equal(await root.goto(address), 200);
  const elements = root.page.locator("script:not([src]), img[src=x], [onerror], main b");
  assert.equal(await elements.count(), 0, `${address} contains elements of the content`);
  const text = await root.page.locator("body").innerText();
  const mark = /[\u202a-\u202e\u2066-\u2069]/.test(text);
  assert(!mark, `${address} contains a raw mark of direction`);
  await stage.inspect(root, address);
}

export const ACCESS = [
  { name: "viewer", run: viewerHasNoAction },
  { name: "other tenant", run: otherTenantIsUnknown },
  { name: "no role", run: userWithoutRoleReadsHelp },
  { name: "sign-out", run: signOutEndsSession },
  { name: "hostile content", run: hostileContentIsText },
];
