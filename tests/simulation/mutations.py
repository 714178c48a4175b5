#!/usr/bin/env python3
"""Mutation tests: applies one mutation at a time and prints how many seeds the simulation needs to detect it.

    python tests/simulation/mutations.py                all mutations
    python tests/simulation/mutations.py NAME…          the named mutations
    python tests/simulation/mutations.py --check        only checks that each mutation can be applied

Works on a copy of the repository. Exits with 1 if a mutation is not detected within 500 seeds. Build output goes to
`$CARGO_TARGET_DIR` (or the user's cache), so that a second run is faster.
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


class Mutation:
    """A deliberate defect: for each file, the code to replace and its replacement.

    The code is compared token by token, so that formatting, comments and trailing commas do not matter.
    """

    def __init__(self, *edits):
        self.edits = edits

    def apply(self, tree):
        for path, old, new in self.edits:
            file = tree / path
            text = file.read_text()
            places = list(pattern(old).finditer(text))
            if len(places) != 1:
                raise SystemExit(f"{path}: the code to replace occurs {len(places)} times:\n{old}")
            start, end = places[0].span()
            file.write_text(text[:start] + new + text[end:])


def pattern(code):
    """Returns a regular expression that matches the tokens of `code` with any white space and comments between them."""
    tokens = re.findall(r"\w+|[^\w\s]", re.sub(r"^\s*//[^\n]*$", "", code, flags=re.M))
    gap = r"(?:\s|//[^\n]*\n)*"
    found = ""
    for token, following in zip(tokens, [*tokens[1:], ""]):
        if token == "," and following and following in ")]}":
            continue  # A trailing comma is optional.
        if token in ")]}":
            found += "(?:," + gap + ")?"
        found += re.escape(token) + (gap if following else "")
    return re.compile(found)


PULL, CURSOR = "common/app/src/pull.rs", "common/app/src/pull/cursor/take.rs"
PUSH = "common/app/src/push.rs"
CHANGES, RESOURCES = "common/aws/src/tables/changes.rs", "common/aws/src/tables/resources.rs"
PLAN, PAGE = "common/core/src/rules/sequence/plan.rs", "common/core/src/rules/pull/page.rs"
NUMBERING, RESULT = "clients/rust/src/numbering.rs", "clients/rust/src/result.rs"
OWN = "common/core/src/rules/pull/own.rs"
EVALUATE = "common/core/src/rules/push/evaluate.rs"
FOLD_APPLY, FOLD_RESULTS = "common/core/src/rules/push/fold/apply.rs", "common/core/src/rules/push/fold/results.rs"

# The response to a retried batch contains the server state at the time of the conflict instead of the current state.
WHAT_STOOD = (
    "common/app/src/push/repeat.rs",
    "        response::complete_repeated(result, current, resolution);\n",
    """        let _ = (current, resolution);
        let Some(id) = &result.conflict_id else { continue };
        let stood = tables.conflicts.read(tenant, None, id).await?;
        if let Some(stood) = stood.filter(|it| Some(it.server_version) == result.server_version && !it.server_deleted) {
            result.server_payload = stood.server_payload;
            result.server_payload_omitted = false;
        }
""",
)

MUTATIONS = {
    "head-before-segment": Mutation((
        CHANGES,
        "        for step in steps {\n",
        """        if let Some(step) = steps.last() {
            self.move_head(scope, HeadFields::of(&step.head)).await?;
        }
        for step in steps {
""",
    )),
    "segment-replaces-another": Mutation((
        CHANGES,
        """self.table.put(&row)?.condition_expression("attribute_not_exists(pk)");""",
        """self.table.put(&row)?.condition_expression("attribute_not_exists(never)");""",
    )),
    "lagging-head-left": Mutation((
        CHANGES,
        "                self.move_head(scope, head).await?;\n",
        "                let _ = head;\n",
    )),
    "head-moves-back": Mutation(
        (CHANGES, "attribute_not_exists(pk) OR #position < :position", "attribute_not_exists(pk) OR #position <> :position"),
    ),
    "middle-of-a-segment-skipped": Mutation((
        CURSOR,
        "(*position, *at, *segment_key) = (next, sequenced_at, Some(segment.follows));",
        "(*position, *at, *segment_key) = (segment.last.max(next), sequenced_at, None);",
    )),
    "restored-log-read-on": Mutation((
        PAGE,
        "    segment.follows == position || segment.entries.iter().any(|entry| entry.position == position)\n",
        "    segment.follows >= position || segment.last >= position\n",
    )),
    "push-token-at-head": Mutation((
        PUSH,
        "    let server_sync_token = sync_token_with(request.client_sync_token.as_deref(), response::delivered_versions(&results, &keys), processed_at);\n",
        """    let scopes: Vec<_> = principal.pulled_channels().iter().map(|channel| principal.scope(channel)).collect();
    let heads = context.tables.changes.heads(&scopes).await?;
    let channels = scopes.into_iter().zip(heads).map(|(scope, head)| {
        let position = tidemark_core::rules::sequence::plan::log_end(head.as_ref());
        (scope.channel, tidemark_core::model::token::Progress::log(position, submission.now))
    });
    let server_sync_token = tidemark_core::model::token::Token { channels: channels.collect() }.encode();
""",
    )),
    "ledger-dropped": Mutation((
        FOLD_APPLY,
        "            resource.edits.record_edit(applied, self.carried.recorded);\n",
        "            let _ = (&resource.edits, applied);\n",
    )),
    "version-condition-removed": Mutation(
        (RESOURCES, "WHERE pk = ? AND sk = ? AND server_version = ?", "WHERE pk = ? AND sk = ?"),
        (RESOURCES, ".chain(at).chain([number(expected)]).collect()", ".chain(at).filter(|_| expected > 0).collect()"),
    ),
    "late-records-skipped": Mutation((
        PLAN,
        "        for (_, record) in self.at_or_below_head {\n",
        "        for (_, record) in self.at_or_below_head.into_iter().take(0) {\n",
    )),
    "older-late-records-appended": Mutation((
        PLAN,
        "|record: &Record| versions.get(&record.key) == Some(&record.server_version);",
        "|record: &Record| versions.contains_key(&record.key);",
    )),
    "snapshot-noted-after": Mutation((
        CURSOR,
        "            self.progress = Progress::log(*head, *head_read_at);",
        "            let _ = head;\n            self.progress = Progress::log(tidemark_core::rules::sequence::plan::log_end(self.head.as_ref()), *head_read_at);",
    )),
    "deleted-row-removed": Mutation((
        RESOURCES,
        "            Some(expected) => statement(update,",
        """            Some(expected) if write.resource.deleted => {
                let table = update.split('"').nth(1).unwrap_or_default();
                let text = format!("DELETE FROM \\"{table}\\" WHERE pk = ? AND sk = ? AND server_version = ?");
                statement(&text, at.into_iter().chain([number(expected)]).collect())
            }
            Some(expected) => statement(update,""",
    )),
    "highest-client-version-ignored": Mutation((
        EVALUATE,
        "    if own_run && edit.client_version <= resource.run.client_version_max {\n",
        "    if false && own_run {\n",
    )),
    "base-version-ignored": Mutation((
        "common/core/src/rules/push/intake/parsed_item.rs",
        "        base_version,\n        references:",
        "        base_version: None,\n        references:",
    )),
    "dedupe-by-batch-only": Mutation((
        EVALUATE,
        """        (_, Some(resource)) => match resource.edits.find(edit.id) {
            Some(applied) => Evaluation::Remembered(applied),
            None => evaluate_change(edit, resource, payload, author, rules),
        },""",
        "        (_, Some(resource)) => evaluate_change(edit, resource, payload, author, rules),",
    )),
    "revoke-forgotten": Mutation((
        PULL,
        "    let revoked = revoked.map(ToString::to_string).collect();\n",
        "    let revoked = revoked.map(ToString::to_string).take(0).collect();\n",
    )),
    "acks-move-backwards": Mutation((
        "common/aws/src/tables/devices.rs",
        "        if !above.is_empty() {\n",
        "        if false && !above.is_empty() {\n",
    )),
    "retry-without-deciding-again": Mutation((
        "common/app/src/push/batch/commit.rs",
        "        let mut committed = self.context.tables.resources.commit(self.sender.principal, &writes).await?.into_iter();\n",
        """        let resources = &self.context.tables.resources;
        let mut committed = resources.commit(self.sender.principal, &writes).await?;
        for ((key, write), committed) in writes.iter().zip(&mut committed).filter(|(_, it)| **it == WriteOutcome::ConditionFailed) {
            let mut now = resources.load(&self.sender.principal.tenant, [*key]).await?;
            let Some(row) = now.rows.remove(*key) else { continue };
            let mut again = ResourceWrite { expected_version: Some(row.server_version), ..(*write).clone() };
            again.resource.server_version = row.server_version + 1;
            *committed = resources.commit(self.sender.principal, &[(key, &again)]).await?[0];
        }
        let mut committed = committed.into_iter();
""",
    )),
    "unique-key-freed-too-early": Mutation((
        "common/app/src/push/batch/commit/transaction.rs",
        "        let mut items = tables.unique_keys.transaction_items(&decision.unique, &group.key)?;\n",
        """        let (mut frees, mut claims) = (decision.unique.clone(), decision.unique.clone());
        (frees.claims, claims.frees) = (Default::default(), Default::default());
        let freed = tables.unique_keys.transaction_items(&frees, &group.key)?;
        if !freed.is_empty() {
            tables.transact(freed).await?;
        }
        let mut items = tables.unique_keys.transaction_items(&claims, &group.key)?;
""",
    )),
    "unique-keys-not-claimed": Mutation((
        "common/app/src/push/batch/commit.rs",
        "    !decision.unique.is_empty() || decision.policy_conflict.is_some() || !decision.superseded.is_empty()\n",
        "    decision.policy_conflict.is_some()\n",
    )),
    "what-policies-store-not-echoed": Mutation((
        "common/aws/src/stream/decode.rs",
        "        echo_to_author: resource.run.echo_to_author,\n",
        "        echo_to_author: false,\n",
    )),
    "first-snapshot-replaces-nothing": Mutation((
        "common/core/src/rules/pull/start.rs",
        "        _ => reset(head, now),\n",
        "        None => Start { is_reset: false, ..reset(head, now) },\n        Some(_) => reset(head, now),\n",
    )),
    "failed-records-not-given-back": Mutation((
        "functions/changelog/src/lib.rs",
        "    let work = sequence::sequence(context, dead_letters, records, deadline);\n",
        """    let work = async {
        sequence::sequence(context, dead_letters, records, deadline).await.into_iter().take(0).collect()
    };
""",
    )),
    "conflict-not-kept": Mutation((
        "common/app/src/push/batch/commit.rs",
        "        Box::pin(self.record_conflicts(round, outcomes)).await\n",
        "        Ok(outcomes)\n",
    )),
    # Rules for clients that earlier versions of docs/protocol.md, *Writing a client*, lacked.
    "client-applies-again-what-it-pulled": Mutation((
        RESULT,
        "        if result.server_payload_omitted || version <= copy.base {\n",
        "        if result.server_payload_omitted {\n",
    )),
    "repeated-batch-answers-with-what-stood": Mutation(WHAT_STOOD),
    # The same defect with a client of that earlier version and without the check of the response: stale devices reveal it.
    "client-goes-back-with-a-repeated-batch": Mutation(
        WHAT_STOOD,
        (
            RESULT,
            "        if result.server_payload_omitted || version < copy.known {\n",
            "        if result.server_payload_omitted {\n",
        ),
        ("tests/simulation/src/oracle/results.rs", "        if (has_content || reports_absence) && version < current {\n", "        if false && (has_content || reports_absence) && version < current {\n"),
    ),
    "client-numbers-by-its-copy-alone": Mutation(
        (NUMBERING, "        let base_version = first_base.unwrap_or(copy.base);\n", "        let _ = first_base;\n        let base_version = copy.base;\n"),
    ),
    "restored-device-gets-nothing-back": Mutation((OWN, "Self::WithoutReceipt(receipts) => !receipts.holds(made)", "Self::WithoutReceipt(receipts) => receipts.holds(made) && false")),
    "older-client-gets-nothing-back": Mutation((OWN, "Self::Omit(went_back_in) => went_back_in.contains(channel)", "Self::Omit(went_back_in) => went_back_in.contains(channel) && false")),
    "unchanged-edit-answers-without-payload": Mutation((
        EVALUATE,
        "is_seen: base(edit, resource) == resource.server_version }",
        "is_seen: has_seen_all(edit, resource, author) }",
    )),
    "deleted-since-not-told": Mutation((
        FOLD_RESULTS,
        "        result.server_payload_omitted |= is_gone;\n",
        "        let _ = is_gone;\n",
    )),
    "incomplete-copy-takes-the-token": Mutation((
        RESULT,
        "            copy.is_incomplete |= version > copy.known + 1;\n",
        "",
    )),
    "receipts-for-every-version": Mutation(
        ("common/core/src/model/receipts.rs", "Self(digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte)), server_version)", "Self(digest.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte)), 0 * server_version)"),
    ),
}


def main():
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")] or list(MUTATIONS)
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
                kept = {path: (tree / path).read_text() for path, _, _ in MUTATIONS[name].edits}
                MUTATIONS[name].apply(tree)
                for path, text in kept.items():
                    (tree / path).write_text(text)
            print(f"{len(names)} mutations can be applied")
            return 0
        return 1 if sum([not find(tree, name) for name in names]) else 0


def find(tree, name):
    kept = {path: (tree / path).read_text() for path, _, _ in MUTATIONS[name].edits}
    MUTATIONS[name].apply(tree)
    try:
        environment = dict(os.environ)
        environment.setdefault("CARGO_TARGET_DIR", str(Path.home() / ".cache" / "tidemark" / "mutations"))
        environment["CARGO_INCREMENTAL"] = "1"  # few crates change between mutations
        # The workspace's crates are rebuilt for each mutation. Little optimization suffices: they take little of the run time.
        ours = ["core", "app", "aws", "ack", "admin", "batches", "changelog", "client", "console", "notify", "presign", "pull", "push", "resolve", "simulation"]
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
