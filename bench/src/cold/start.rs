//! One function, started several times.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tidemark::engine::http::NoHook;
use tidemark_tests::{
    Stack,
    lambda::{self, Lambda, services},
};

use super::{events, shipped::BARE, tls::Authority};
use crate::process;

const STARTS: usize = 7;
/// How often a function is started that many times, before it is said to need too much CPU.
const ROUNDS_MAX: usize = 12;

/// What a start took.
#[derive(Debug, Clone, Copy)]
pub struct StartCost {
    /// CPU from exec to the first poll, in ms.
    pub ready_cpu_ms: f64,
    /// Time from exec to the first poll, in ms.
    pub ready_ms: f64,
    /// CPU from exec to the first response, in ms.
    pub response_cpu_ms: f64,
    /// The most memory until then, in MB.
    pub peak_mb: f64,
}

/// A function over a deployment whose endpoint speaks TLS.
pub struct Rig {
    /// The deployment.
    pub stack: Stack,
    authority: Authority,
}

impl Default for Rig {
    fn default() -> Self {
        Self {
            stack: Stack::new().today(),
            authority: Authority::default(),
        }
    }
}

impl Rig {
    /// Starts a function.
    pub async fn start(&self, function: &str, binary: &Path) -> Lambda {
        let name = if function == BARE { "push" } else { function };
        let services = services::serve(&self.stack, name, Arc::new(NoHook)).await;
        let port = self.authority.before(services).await;
        let mut environment = lambda::environment(name, &format!("https://localhost:{port}"));
        environment.insert(
            "AWS_CA_BUNDLE".to_owned(),
            self.authority.bundle.path().display().to_string(),
        );
        Lambda::start(binary, name, environment).await
    }
}

/// Starts a function several times, and has it answer once: medians.
pub async fn measure(function: &str, binary: &Path) -> StartCost {
    let started = starts(function, binary).await;
    let median = |figure: fn(&StartCost) -> f64| {
        let mut figures: Vec<f64> = started.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[STARTS / 2]
    };
    StartCost {
        ready_cpu_ms: median(|it| it.ready_cpu_ms),
        ready_ms: median(|it| it.ready_ms),
        response_cpu_ms: median(|it| it.response_cpu_ms),
        peak_mb: median(|it| it.peak_mb),
    }
}

/// The least CPU to the first poll that a function took of several starts, in ms: what else runs on
/// the machine makes a start dearer, never cheaper. While that is more than `enough`, it is started
/// again, many times: on a busy machine a start easily takes a fifth more.
pub async fn least_cpu_ms(function: &str, binary: &Path, enough: f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS_MAX {
        least = starts(function, binary)
            .await
            .iter()
            .map(|it| it.ready_cpu_ms)
            .fold(least, f64::min);
        if least <= enough {
            break;
        }
    }
    least
}

async fn starts(function: &str, binary: &Path) -> Vec<StartCost> {
    let rig = Rig::default();
    let event = events::first(&rig.stack, function).await;
    let mut started = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let began = Instant::now();
        let mut lambda = rig.start(function, binary).await;
        lambda.idle().await;
        let ready = began.elapsed();
        let id = lambda.id().expect("it runs");
        let ready_cpu = process::cpu(id);
        let told = lambda.ask(&event).await;
        assert!(!told.contains("\"statusCode\":5"), "{function}: {told}");
        lambda.idle().await;
        let (ready_cpu_ms, response_cpu_ms) =
            (milliseconds(ready_cpu), milliseconds(process::cpu(id)));
        started.push(StartCost {
            ready_cpu_ms,
            ready_ms: milliseconds(ready),
            response_cpu_ms,
            peak_mb: process::peak_mb(id).expect("it runs"),
        });
    }
    started
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
