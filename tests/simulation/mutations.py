#!/usr/bin/env python3
"""Plants bugs, one at a time, and says how many seeds the simulation needs to find each.

    python tests/simulation/planted.py                every bug
    python tests/simulation/planted.py NAME…          these
    python tests/simulation/planted.py --check        only looks whether each can still be planted

Works on a copy of the clone. Exits with 1 where a bug is not found within 500 seeds. What is built goes into the folder
`$CARGO_TARGET_DIR` (or the user's cache), so that a second run is quicker.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = 500
ROOT = Path(__file__).resolve().parents[2]


class Bug:
    """A bug: in each file, what stands there and what a mistake would put in its place."""

    def __init__(self, *edits):
        self.edits = edits

    def plant(self, tree):
        for path, old, new in self.edits:
            file = tree / path
            text = file.read_text()
            if text.count(old) != 1:
                raise SystemExit(f"{path}: what the bug replaces stands there {text.count(old)} times:\n{old}")
            file.write_text(text.replace(old, new))


PULL, CURSOR = "functions/pull/src/lib.rs", "functions/pull/src/cursor.rs"
PUSH = "functions/push/src/lib.rs"
CHANGES, RESOURCES = "common/aws/src/tables/changes.rs", "common/aws/src/tables/resources.rs"
PLAN, PAGE = "common/core/src/sequence/plan.rs", "common/core/src/pull/page.rs"
CLIENT = "tests/simulation/src/client.rs"
OWN = "common/core/src/pull/own.rs"
JUDGE, FOLD = "common/core/src/push/judge.rs", "common/core/src/push/fold.rs"

# A repeated batch is answered with what its conflicts met, whatever stands by now.
WHAT_STOOD = (
    "functions/push/src/repeat.rs",
    "        answer::complete_again(result, current, resolution);\n",
    """        let _ = (current, resolution);
        let Some(id) = &result.conflict_id else { continue };
        let stood = tables.conflicts.read(tenant, None, id).await?;
        if let Some(stood) = stood.filter(|it| Some(it.server_version) == result.server_version && !it.server_deleted) {
            result.server_payload = stood.server_payload;
            result.server_payload_omitted = false;
        }
""",
)

BUGS = {
    "head-before-segment": Bug((
        CHANGES,
        "        for step in steps {\n",
        """        if let Some(step) = steps.last() {
            self.move_head(scope, HeadFields::of(&step.head)).await?;
        }
        for step in steps {
""",
    )),
    "segment-replaces-another": Bug((
        CHANGES,
        """self.table.put(&row)?.condition_expression("attribute_not_exists(pk)");""",
        """self.table.put(&row)?.condition_expression("attribute_not_exists(never)");""",
    )),
    "lagging-head-left": Bug((
        CHANGES,
        "                self.move_head(scope, head).await?;\n",
        "                let _ = head;\n",
    )),
    "head-moves-back": Bug(
        (CHANGES, "attribute_not_exists(pk) OR #position < :position", "attribute_not_exists(pk) OR #position <> :position"),
    ),
    "middle-of-a-segment-skipped": Bug((
        CURSOR,
        "(*position, *at, *within) = (next, sequenced_at, Some(segment.prev));",
        "(*position, *at, *within) = (segment.last.max(next), sequenced_at, None);",
    )),
    "restored-log-read-on": Bug((
        PAGE,
        "    segment.prev == position || segment.entries.iter().any(|entry| entry.position == position)\n",
        "    segment.prev >= position || segment.last >= position\n",
    )),
    "push-token-at-head": Bug((
        PUSH,
        "    let server_sync_token = answer::sync_token_with(push.client_sync_token.as_deref(), told, processed_at);\n",
        """    let _ = told;
    let scopes: Vec<_> = principal.pulled_channels().iter().map(|channel| principal.scope(channel)).collect();
    let heads = tables.changes.heads(&scopes).await?;
    let channels = scopes.into_iter().zip(heads).map(|(scope, head)| {
        let position = tidemark_core::sequence::plan::end_of(head.as_ref());
        (scope.channel, tidemark_core::token::Progress::log(position, now))
    });
    let server_sync_token = tidemark_core::token::Token { channels: channels.collect() }.encode();
""",
    )),
    "ledger-dropped": Bug((
        FOLD,
        "            resource.edits.remember(applied, self.carried.remembered);\n",
        "            let _ = (&resource.edits, applied);\n",
    )),
    "version-condition-removed": Bug(
        (RESOURCES, "WHERE pk = ? AND sk = ? AND server_version = ?", "WHERE pk = ? AND sk = ?"),
        (RESOURCES, ".chain(at).chain([number(expected)]).collect()", ".chain(at).filter(|_| expected > 0).collect()"),
    ),
    "late-records-skipped": Bug((
        PLAN,
        "        for (_, record) in self.behind {\n",
        "        for (_, record) in self.behind.into_iter().take(0) {\n",
    )),
    "older-late-records-appended": Bug((
        PLAN,
        "|record: &Record| versions.get(&record.key) == Some(&record.server_version);",
        "|record: &Record| versions.contains_key(&record.key);",
    )),
    "snapshot-noted-after": Bug((
        CURSOR,
        "            self.progress = Progress::log(*noted, *noted_at);",
        "            let _ = noted;\n            self.progress = Progress::log(tidemark_core::sequence::plan::end_of(self.head.as_ref()), *noted_at);",
    )),
    "deleted-row-removed": Bug((
        RESOURCES,
        "            Some(expected) => statement(update,",
        """            Some(expected) if write.resource.deleted => {
                let table = update.split('"').nth(1).unwrap_or_default();
                let text = format!("DELETE FROM \\"{table}\\" WHERE pk = ? AND sk = ? AND server_version = ?");
                statement(&text, at.into_iter().chain([number(expected)]).collect())
            }
            Some(expected) => statement(update,""",
    )),
    "highest-client-version-ignored": Bug((
        JUDGE,
        "    if own_run && edit.client_version <= resource.run.client_version_max {\n",
        "    if false && own_run {\n",
    )),
    "base-version-ignored": Bug((
        "common/core/src/push/intake.rs",
        "            base_version,\n            references:",
        "            base_version: None,\n            references:",
    )),
    "dedupe-by-batch-only": Bug((
        JUDGE,
        """        (_, Some(resource)) => match resource.edits.find(edit.id) {
            Some(applied) => Verdict::Remembered(applied),
            None => judge_change(edit, resource, payload, author, rules),
        },""",
        "        (_, Some(resource)) => judge_change(edit, resource, payload, author, rules),",
    )),
    "revoke-forgotten": Bug((
        PULL,
        "    let revoked = revoked.map(ToString::to_string).collect();\n",
        "    let revoked = revoked.map(ToString::to_string).take(0).collect();\n",
    )),
    "acks-move-backwards": Bug((
        "common/aws/src/tables/devices.rs",
        "        if !above.is_empty() {\n",
        "        if false && !above.is_empty() {\n",
    )),
    "retry-without-deciding-again": Bug((
        "common/aws/src/batch/commit.rs",
        "        let mut committed = self.platform.tables.resources.commit(self.sender.principal, &writes).await?.into_iter();\n",
        """        let resources = &self.platform.tables.resources;
        let mut committed = resources.commit(self.sender.principal, &writes).await?;
        for ((key, write), committed) in writes.iter().zip(&mut committed).filter(|(_, it)| **it == Committed::Lost) {
            let mut now = resources.load(&self.sender.principal.tenant, [*key]).await?;
            let Some(row) = now.rows.remove(*key) else { continue };
            let mut again = ResourceWrite { expected_version: Some(row.server_version), ..(*write).clone() };
            again.resource.server_version = row.server_version + 1;
            *committed = resources.commit(self.sender.principal, &[(key, &again)]).await?[0];
        }
        let mut committed = committed.into_iter();
""",
    )),
    "unique-key-freed-too-early": Bug((
        "common/aws/src/batch/commit.rs",
        "        let mut items = tables.unique_keys.transact(&decision.unique, &group.key)?;\n",
        """        let (mut frees, mut claims) = (decision.unique.clone(), decision.unique.clone());
        (frees.claims, claims.frees) = (Default::default(), Default::default());
        let freed = tables.unique_keys.transact(&frees, &group.key)?;
        if !freed.is_empty() {
            tables.transact(freed).await?;
        }
        let mut items = tables.unique_keys.transact(&claims, &group.key)?;
""",
    )),
    "unique-keys-not-claimed": Bug((
        "common/aws/src/batch/commit.rs",
        "    !decision.unique.is_empty() || decision.ruled.is_some() || !decision.superseded.is_empty()\n",
        "    decision.ruled.is_some()\n",
    )),
    "what-policies-store-not-echoed": Bug((
        "common/aws/src/stream.rs",
        "        is_echoed: resource.run.is_unproven,\n",
        "        is_echoed: false,\n",
    )),
    "first-snapshot-replaces-nothing": Bug((
        "common/core/src/pull/start.rs",
        "        _ => reset(head, now),\n",
        "        None => Start { is_reset: false, ..reset(head, now) },\n        Some(_) => reset(head, now),\n",
    )),
    "failed-records-not-given-back": Bug((
        "functions/changelog/src/lib.rs",
        "    given_back(failed)\n",
        "    given_back(failed.into_iter().take(0))\n",
    )),
    "conflict-not-kept": Bug((
        "common/aws/src/batch/commit.rs",
        "        Box::pin(self.record(wave, outcomes)).await\n",
        "        Ok(outcomes)\n",
    )),
    # What a client must do that docs/protocol.md, *Writing a client*, did not always say.
    "client-applies-again-what-it-pulled": Bug((
        CLIENT,
        "        if result.server_payload_omitted || version <= copy.base {\n",
        "        if result.server_payload_omitted {\n",
    )),
    "repeated-batch-answers-with-what-stood": Bug(WHAT_STOOD),
    # The same with the page as it was then, and without the rule that finds it in the response: devices that stay behind show it.
    "client-goes-back-with-a-repeated-batch": Bug(
        WHAT_STOOD,
        (
            CLIENT,
            "        if result.server_payload_omitted || version < copy.known {\n",
            "        if result.server_payload_omitted {\n",
        ),
        ("tests/simulation/src/judge.rs", "        if (tells || tells_of_nothing) && version < stood {\n", "        if false && (tells || tells_of_nothing) && version < stood {\n"),
    ),
    "client-numbers-by-its-copy-alone": Bug(
        (CLIENT, "        let base = first_base.unwrap_or(copy.base);\n", "        let _ = first_base;\n        let base = copy.base;\n"),
    ),
    "restored-device-gets-nothing-back": Bug((OWN, "Self::Unanswered(receipts) => !receipts.holds(made)", "Self::Unanswered(receipts) => receipts.holds(made) && false")),
    "older-client-gets-nothing-back": Bug((OWN, "Self::Omit(went_back_in) => went_back_in.contains(channel)", "Self::Omit(went_back_in) => went_back_in.contains(channel) && false")),
    "unchanged-edit-answers-without-payload": Bug((
        JUDGE,
        "is_seen: base(edit, resource) == resource.server_version }",
        "is_seen: has_seen_all(edit, resource, author) }",
    )),
    "deleted-since-not-told": Bug((
        FOLD,
        "        answer.server_payload_omitted |= is_gone;\n",
        "        let _ = is_gone;\n",
    )),
    "incomplete-copy-takes-the-token": Bug((
        CLIENT,
        "            copy.is_incomplete |= version > copy.known + 1;\n",
        "",
    )),
    "receipts-for-every-version": Bug(
        ("common/core/src/receipts.rs", "Self(digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte)), server_version)", "Self(digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte)), 0 * server_version)"),
    ),
}


def main():
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or list(BUGS)
    only_checks = "--check" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tidemark"
        files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for file in filter(None, files.split("\0")):
            if (ROOT / file).exists():
                (tree / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, tree / file)
        if only_checks:
            for name in names:
                kept = {path: (tree / path).read_text() for path, _, _ in BUGS[name].edits}
                BUGS[name].plant(tree)
                for path, text in kept.items():
                    (tree / path).write_text(text)
            print(f"{len(names)} bugs can be planted")
            return 0
        return 1 if sum([not find(tree, name) for name in names]) else 0


def find(tree, name):
    kept = {path: (tree / path).read_text() for path, _, _ in BUGS[name].edits}
    BUGS[name].plant(tree)
    try:
        environment = dict(os.environ)
        environment.setdefault("CARGO_TARGET_DIR", str(Path.home() / ".cache" / "tidemark" / "planted"))
        environment["CARGO_INCREMENTAL"] = "1"  # little changes from bug to bug
        # Our own crates are built again for each bug: quickly, for they are not what takes the time.
        ours = ["core", "aws", "ack", "batches", "changelog", "conflicts", "notify", "presign", "pull", "push", "resolve", "simulation"]
        quickly = [f"--config=profile.release.package.{name}.opt-level=1" for name in ["tidemark", *(f"tidemark-{it}" for it in ours)]]
        command = ["cargo", "run", *quickly, "--release", "--bin", "simulate", "--", "--seeds", str(SEEDS), "--no-shrinking"]
        run = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    finally:
        for path, text in kept.items():
            (tree / path).write_text(text)
    found = re.findall(r"^seed (\d+) breaks promise (\d): (.*)", run.stdout, re.M)
    if " seeds: " not in run.stdout:
        raise SystemExit(f"{name} does not build or run:\n{run.stderr[-3000:]}")
    if not found:
        print(f"| {name} | not found in {SEEDS} | |", flush=True)
        return False
    seed, promise, what = min(found, key=lambda it: int(it[0]))
    print(f"| {name} | {int(seed) + 1} | {promise} | {what[:150]}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
