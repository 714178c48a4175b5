//! What work costs a function that is warm, DynamoDB apart, and how much memory it takes.

use std::{collections::BTreeMap, path::PathBuf};

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tidemark_tests::lambda::{Lambda, answer};

use super::{events, start::Rig};
use crate::{
    budgets, process,
    table::{Row, Table},
    workload,
};

const BYTES: usize = 300;
const PUSH: usize = 50;
const PULL: usize = 100;
const PUSHES: usize = 60;
/// Not counted: the first of each kind.
const WARM: usize = 5;

/// Pushes in 50s, then pulls in 100s.
pub async fn table(binaries: &BTreeMap<String, PathBuf>) -> Table {
    let note = format!(
        "{} items of {BYTES} bytes are pushed in {PUSH}s, and pulled in {PULL}s, by the function's own process; CPU of that process alone, TLS included. Memory is the most it ever had.",
        PUSHES * PUSH
    );
    let mut table = Table::new("cold-work", "CPU and memory of the functions at work", note);
    let rig = Rig::default();
    let token = rig.stack.token("acme", "ana", &[], &[]);
    let bar = ProgressBar::new((PUSHES + PUSHES * PUSH / PULL) as u64);

    let mut push = rig.start("push", &binaries["push"]).await;
    let pushes: Vec<String> = (0..PUSHES + WARM)
        .map(|number| {
            let items: Vec<Value> =
                (number * PUSH..(number + 1) * PUSH).map(|it| workload::create(it, workload::form(it, 0, BYTES))).collect();
            events::push(&rig.stack, &token, &items).to_string()
        })
        .collect();
    let push_cpu = asked(&mut push, &pushes, &bar, |body| {
        assert!(body["results"].as_array().unwrap().iter().all(|it| it["status"] == "ok"))
    })
    .await;
    let push_mb = process::peak_mb(push.id().expect("it runs")).expect("it runs");
    rig.stack.settle().await;

    let mut pull = rig.start("pull", &binaries["pull"]).await;
    let (pull_cpu, pulled) = pulled(&rig, &mut pull, &token, &bar).await;
    let pull_mb = process::peak_mb(pull.id().expect("it runs")).expect("it runs");
    bar.finish_and_clear();

    let per_10_000 = |cpu: f64, items: usize| cpu * 10_000.0 / items as f64;
    table.rows.push(Row::new("push: CPU for 10,000 items", "s", per_10_000(push_cpu, PUSHES * PUSH)).budget(budgets::PUSH_CPU_S));
    table.rows.push(Row::new("push: peak memory", "MB", push_mb).budget(budgets::MEMORY_MB));
    table.rows.push(Row::new("pull: CPU for 10,000 items", "s", per_10_000(pull_cpu, pulled)).budget(budgets::PULL_CPU_S));
    table.rows.push(Row::new("pull: peak memory", "MB", pull_mb).budget(budgets::MEMORY_MB));
    table
}

/// Seconds of CPU that a function needs for these events, those to warm up not counted.
async fn asked(function: &mut Lambda, events: &[String], bar: &ProgressBar, check: fn(Value)) -> f64 {
    let id = function.id().expect("it runs");
    let mut before = process::cpu(id);
    for (number, event) in events.iter().enumerate() {
        if number == WARM {
            function.idle().await;
            before = process::cpu(id);
        }
        check(answer(&function.ask(event).await).ok());
        bar.inc(1);
    }
    function.idle().await;
    (process::cpu(id) - before).as_secs_f64()
}

/// Seconds of CPU that a device's pulls need, from the log, and how many changes they brought.
async fn pulled(rig: &Rig, pull: &mut Lambda, token: &str, bar: &ProgressBar) -> (f64, usize) {
    let mut since = Value::Null;
    let (mut spent, mut changes) = (0.0, 0);
    let id = pull.id().expect("it runs");
    let mut page = async |since: &Value| {
        let body = json!({"since_token": since, "device_id": "tablet", "limit": PULL});
        let event = rig.stack.event("POST", "sync/pull", token, &body).to_string();
        let before = process::cpu(id);
        let body = answer(&pull.ask(&event).await).ok();
        pull.idle().await;
        bar.inc(1);
        ((process::cpu(id) - before).as_secs_f64(), body)
    };
    for number in 0.. {
        let (cpu, body) = page(&since).await;
        since = body["next_token"].clone();
        if number >= WARM {
            spent += cpu;
            changes += body["changes"].as_array().map_or(0, Vec::len);
        }
        if body["has_more"] == false {
            break;
        }
    }
    (spent, changes)
}
