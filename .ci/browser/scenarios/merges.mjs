// Scenarios of the merge page: one conflict is resolved by picks for each field.

import assert from "node:assert/strict";

import { accepted, conflict, content, delivered } from "../data.mjs";
import { created, deleted, updated } from "../runner.mjs";

const STOPS_MAX = 120;

const radio = (pointer, choice) => `input[type=radio][name="${pointer}"][value="${choice}"]`;
const store = (page) => page.getByRole("button", { name: /^Store as version/ });
const resolved = (page) => page.getByRole("heading", { level: 1, name: /\(resolved\)$/ }).waitFor();

/** Checks through the API that the conflict is resolved, with these digits and this key order. */
async function resolvedAs(stage, { id, version }, payload) {
  const api = await stage.api();
  const shown = await api.get(`conflicts/${id}`);
  assert.equal(shown.status, "resolved");
  assert.equal(shown.outcome.server_version, version + 1);
  await delivered(stage, payload);
}

/** Checks what is preselected: what only one side changed. */
async function preselected(page) {
  await page.locator(`${radio("/note", "device")}:checked`).waitFor();
  await page.locator(`${radio("/checked", "server")}:checked`).waitFor();
  assert.equal(await page.locator('input[name="/reading"]:checked').count(), 0);
  assert.match(await page.locator("main").innerText(), /1 field to decide/);
}

async function mouse(stage, scripts) {
  const open = await conflict(stage);
  const root = await stage.enter({ scripts });
  const { page } = root;
  await root.goto("conflicts");
  await page.getByRole("link", { name: "meter m-1" }).click();
  await preselected(page);

  // Without a decision, nothing is stored.
  root.expected.add(422);
  await store(page).click();
  await page.getByRole("alert").waitFor();
  if (scripts) await stage.inspect(root, "an undecided merge");

  await page.locator(radio("/reading", "device")).check();
  await page.getByLabel(/^Why/).fill("Ana was there");
  await store(page).click();
  await resolved(page);
  await resolvedAs(stage, open, content({ reading: "42.50" }));
  const [entry] = (await (await stage.api()).get("audit?limit=1")).entries;
  assert.equal(entry.note, "Ana was there");
}

/** Presses Tab until the element that matches `selector` has the focus, which must be visible. */
async function tabTo(page, selector) {
  for (let stop = 0; stop < STOPS_MAX; stop += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate((wanted) => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      // The button within a field for a time has an outline of the browser.
      const isWithin = element.matches("[type=datetime-local]:not(:focus)");
      const isVisible = isWithin || (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2);
      const html = element.outerHTML.slice(0, 120);
      return { found: element.matches(wanted), isVisible, isBody: element === document.body, html };
    }, selector);
    assert(focused.isVisible || focused.isBody, `the focus is not visible: ${focused.html}`);
    if (focused.found) return;
  }
  assert.fail(`the Tab key does not reach ${selector}`);
}

async function keyboard(stage) {
  const open = await conflict(stage);
  const root = await stage.enter();
  const { page } = root;
  await root.goto("conflicts");
  await tabTo(page, 'main tbody a[href*="conf"]');
  await page.keyboard.press("Enter");
  await preselected(page);

  await tabTo(page, '[name="/reading"]');
  await page.keyboard.press("Space");
  const group = page.locator('input[type=radio][name="/reading"]');
  const order = await group.evaluateAll((all) => all.map(({ value }) => value));
  for (let at = 0; at < order.indexOf("device"); at += 1) await page.keyboard.press("ArrowRight");
  assert(await page.locator(radio("/reading", "device")).isChecked());
  await tabTo(page, "[name=note]");
  await page.keyboard.type("by keyboard");
  await tabTo(page, "button[name=action][value=store]");
  await page.keyboard.press("Enter");
  await resolved(page);
  await resolvedAs(stage, open, content({ reading: "42.50" }));
}

/** Every way of resolving keeps the digits and the order of the fields. */
async function digits(stage) {
  const root = await stage.enter();
  const { page } = root;
  root.expected.add(422);

  const way = async (id, payload, decide) => {
    const open = await conflict(stage, { id });
    await root.goto(`conflicts/${open.id}`);
    await decide();
    await resolved(page);
    await resolvedAs(stage, open, content({ meter: id, ...payload }));
  };

  // The office's edit of another field stays, because the device had not seen it.
  await way("all-device", { reading: "42.50" }, async () => {
    await page.getByRole("button", { name: /^Take all/ }).click();
    await store(page).click();
  });
  await way("all-server", { note: '"front door"' }, async () => {
    await page.getByRole("button", { name: /^Keep all/ }).click();
    await store(page).click();
  });
  await way("base", { reading: "44" }, async () => {
    await page.locator(radio("/reading", "base")).check();
    await store(page).click();
  });
  await way("entered", { reading: "9007199254740993.10" }, async () => {
    const value = page.locator('input[name="value:/reading"]');
    await page.locator(radio("/reading", "value")).check();
    await value.fill("9007199254740993,10");
    await store(page).click();
    // The value is not JSON. The page keeps it, and the other picks.
    await page.getByRole("alert").waitFor();
    assert.equal(await value.inputValue(), "9007199254740993,10");
    assert(await page.locator(radio("/note", "device")).isChecked());
    await stage.inspect(root, "an invalid value");
    await value.fill("9007199254740993.10");
    await store(page).click();
  });
}

/** In a tab that is stale because the resource changed, the valid picks are kept. */
async function changedResource(stage) {
  const open = await conflict(stage);
  const root = await stage.enter();
  const { page } = root;
  root.expected.add(409);
  await root.goto(`conflicts/${open.id}`);
  await page.locator(radio("/reading", "device")).check();
  await page.locator(radio("/note", "server")).check();

  const office = await stage.api();
  accepted(await office.push("office", [updated(2, '{"id":"m-1","reading":60}')]));
  await store(page).click();
  await page.getByText("changed since you opened the page").first().waitFor();
  await stage.inspect(root, "a stale merge");
  assert.equal((await office.get(`conflicts/${open.id}`)).status, "open");
  // The server's reading changed, so that pick is not valid any more; the one of the note is.
  assert.equal(await page.locator('input[name="/reading"]:checked').count(), 0);
  assert(await page.locator(radio("/note", "server")).isChecked());

  await page.locator(radio("/reading", "server")).check();
  await store(page).click();
  await resolved(page);
  const payload = content({ reading: "60", note: '"front door"' });
  await resolvedAs(stage, { ...open, version: 3 }, payload);
}

/** Of two tabs with the same conflict, the second one cannot resolve it again. */
async function twoTabs(stage) {
  const open = await conflict(stage);
  const root = await stage.enter();
  const stale = await root.tab();
  root.expected.add(409);
  for (const page of [root.page, stale]) {
    await root.goto(`conflicts/${open.id}`, page);
    await page.locator(radio("/reading", page === stale ? "server" : "device")).check();
  }
  await store(root.page).click();
  await resolved(root.page);
  await store(stale).click();
  await resolved(stale);
  assert.equal(await store(stale).count(), 0, "the stale tab still offers the action");
  await resolvedAs(stage, open, content({ reading: "42.50" }));
}

/** A delete against an update is decided by one of two actions. */
async function deletedByPhone(stage) {
  const office = await stage.api();
  accepted(await office.push("office", [created('{"id":"m-1","reading":1.0}')]));
  accepted(await office.push("office", [updated(1, '{"id":"m-1","reading":2.0}')]));
  const phone = await stage.api("ana", []);
  const [{ conflict_id: id }] = await phone.push("phone", [deleted(1, "m-1")]);

  const root = await stage.enter();
  const { page } = root;
  await root.goto(`conflicts/${id}`);
  assert.equal(await page.locator("input[type=radio][name^='/']").count(), 0);
  await stage.inspect(root, "a delete");
  await page.getByLabel(/^Keep the resource/).check();
  await page.getByRole("button", { name: "Resolve" }).click();
  await resolved(page);
  await delivered(stage, '{"reading":2.0}');
}

export const MERGES = [
  { name: "merge with the mouse", run: (stage) => mouse(stage, true) },
  { name: "merge with the keyboard", run: keyboard },
  { name: "merge without scripts", run: (stage) => mouse(stage, false) },
  { name: "merge keeps digits", run: digits },
  { name: "merge of a changed resource", run: changedResource },
  { name: "merge in two tabs", run: twoTabs },
  { name: "merge of a delete", run: deletedByPhone },
];
