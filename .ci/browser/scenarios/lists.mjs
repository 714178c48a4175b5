// Scenarios of the lists: several conflicts at once, files, and batches.

import assert from "node:assert/strict";

import { accepted, conflict, content, delivered } from "../data.mjs";
import { created, updated } from "../runner.mjs";

/** Resolves all listed conflicts in bulk, of which one changes after the list was opened. */
async function resolvesManyButOneStale(stage) {
  for (const id of ["m-1", "m-2", "m-3"]) await conflict(stage, { id, phone: `phone of ${id}` });
  const root = await stage.enter();
  const { page } = root;
  await root.goto("conflicts?type=meter");
  await page.getByRole("link", { name: "Select all on this page" }).click();
  assert.equal(await page.locator("tbody input[type=checkbox]:checked").count(), 3);

  // The office edits one of them in the meantime.
  const office = await stage.api();
  accepted(await office.push("office", [updated(2, '{"id":"m-2","reading":51}')]));

  await page.getByRole("button", { name: "Resolve the selected" }).click();
  await page.getByRole("heading", { level: 1, name: "Resolve conflicts" }).waitFor();
  await stage.inspect(root, "the preview");
  // One of them is stale already.
  assert.match(await page.locator("main").innerText(), /possible for 2 of 3 conflicts/);

  await page.getByLabel("Apply the devices' edits").check();
  await page.getByLabel("Why").fill("the tour in the north");
  await page.getByRole("button", { name: "Resolve 3 conflicts" }).click();
  await page.getByRole("heading", { level: 1, name: "Resolved conflicts" }).waitFor();
  await stage.inspect(root, "the result");
  const text = await page.locator("main").innerText();
  assert.match(text, /2 conflicts resolved, 1 not resolved/);

  await delivered(stage, content({ meter: "m-1", reading: "42.50" }));
  const list = await office.get("conflicts?status=open");
  assert.deepEqual(list.conflicts.map((open) => open.resource_id), ["m-2"]);
  const audit = await office.get("audit?limit=10");
  const bulk = audit.entries.filter((entry) => entry.bulk_id);
  assert.equal(bulk.length, 2);
  assert.equal(new Set(bulk.map((entry) => entry.bulk_id)).size, 1);
  assert(bulk.every((entry) => entry.note === "the tour in the north"));
}

/** Three hundred conflicts: the list has pages, keeps its filter, and each link works. */
async function listsThreeHundred(stage) {
  const office = await stage.api();
  const phone = await stage.api("ana", []);
  for (let first = 0; first < 300; first += 50) {
    const ids = Array.from({ length: 50 }, (_, index) => `m-${first + index}`);
    const items = (make) => ids.map((id) => make(JSON.stringify(id)));
    accepted(await office.push("office", items((id) => created(`{"id":${id},"code":${id}}`))));
    accepted(await office.push("office", items((id) => updated(1, `{"id":${id},"reading":1}`))));
    await phone.push("phone", items((id) => updated(1, `{"id":${id},"reading":2}`)));
  }

  const root = await stage.enter();
  const { page } = root;
  await root.goto("conflicts?type=meter&order=newest");
  const seen = new Set();
  for (let number = 1; ; number += 1) {
    assert(number <= 30, "the list does not end");
    const ids = await page.locator("tbody tr th[scope=row] bdi").allInnerTexts();
    ids.forEach((id) => seen.add(id));
    const next = page.getByRole("link", { name: "Next page" });
    if ((await next.count()) === 0) break;
    await next.click();
    assert.equal(await page.getByLabel("Order").inputValue(), "newest");
    assert.equal(await page.getByLabel("Type").inputValue(), "meter");
    if (number === 1) await stage.inspect(root, "the second page");
  }
  assert.equal(seen.size, 300);

  const file = await root.context.request.get(`${stage.runner.console}/conflicts.csv?type=meter`);
  const lines = (await file.text()).trim().split("\r\n");
  assert.equal(lines.length, 1 + 200 + 1, "the columns, 200 rows and a note");
}

/** Opens the first batch of the list, which has a rejected item. */
async function openBatch(root) {
  await root.goto("batches");
  await root.page.locator("tbody tr th[scope=row] a").first().click();
  await root.page.getByRole("heading", { level: 1, name: /^Batch / }).waitFor();
}

/** A batch with a rejected item is replayed after a dry run. */
async function replaysAfterDryRun(stage) {
  const phone = await stage.api("ana", []);
  const [early] = await phone.push("phone", [updated(1, '{"id":"m-1","reading":42.50}')]);
  assert.equal(early.status, "error");
  const office = await stage.api();
  accepted(await office.push("office", [created('{"id":"m-1","reading":1.0}')]));

  const root = await stage.enter();
  const { page } = root;
  await openBatch(root);
  assert.match(await page.locator("tbody").innerText(), /not_found/);
  await page.getByRole("button", { name: "Dry run of the batch" }).click();
  await page.getByRole("heading", { level: 1, name: /^Dry run/ }).waitFor();
  assert.match(await page.locator("main").innerText(), /Nothing was written/);
  const cells = await page.locator("tbody tr td").allInnerTexts();
  assert.match(cells.at(-2), /not_found/);
  assert.doesNotMatch(cells.at(-1), /not_found/);
  await stage.inspect(root, "the dry run");
  await delivered(stage, '{"reading":1.0}');

  await page.getByRole("button", { name: "Replay the batch" }).click();
  await page.getByRole("heading", { level: 1, name: /^Batch / }).waitFor();
  assert.doesNotMatch(await page.locator("tbody").innerText(), /not_found/);
  await delivered(stage, '{"reading":42.50}');
}

/** A rejected item is corrected after a dry run, with the digits that were entered. */
async function correctsItem(stage) {
  const phone = await stage.api("ana", []);
  await phone.push("phone", [created('{"id":"","code":"M","reading":42.50,"serial":1e2}')]);
  const root = await stage.enter();
  root.expected.add(400);
  const { page } = root;
  await openBatch(root);
  await page.locator("tbody tr th[scope=row] a").first().click();

  const payload = page.getByLabel("Payload (JSON)");
  assert.match(await payload.inputValue(), /"reading":42.50,"serial":1e2/);
  await payload.fill('{"id":"m-1","code":');
  await page.getByRole("button", { name: "Dry run" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(await payload.inputValue(), '{"id":"m-1","code":');
  await stage.inspect(root, "an invalid correction");

  await payload.fill('{"id":"m-1","code":"M","reading":42.50,"serial":1e2}');
  await page.getByLabel(/^Reason/).fill("the id was empty");
  await page.getByRole("button", { name: "Dry run" }).click();
  await page.getByRole("button", { name: "Correct the item" }).click();
  await delivered(stage, '{"code":"M","reading":42.50,"serial":1e2}');
}

export const LISTS = [
  { name: "replay after a dry run", run: replaysAfterDryRun },
  { name: "correction of an item", run: correctsItem },
  { name: "bulk with one stale", run: resolvesManyButOneStale },
  { name: "300 conflicts", run: listsThreeHundred },
];
