//! Measures repeated cold starts of one function.

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
/// Maximum number of rounds of starts until a function is considered to exceed its CPU budget.
const ROUNDS_MAX: usize = 12;

/// The cost of one cold start.
#[derive(Debug, Clone, Copy)]
pub struct StartCost {
    /// CPU time from exec to the first poll in ms.
    pub ready_cpu_ms: f64,
    /// Elapsed time from exec to the first poll in ms.
    pub ready_ms: f64,
    /// CPU time from exec to the first response in ms.
    pub response_cpu_ms: f64,
    /// Peak resident memory until the first response in MB.
    pub peak_mb: f64,
}

/// A deployment with a TLS endpoint in which functions are started.
pub struct Rig {
    /// The deployment that the functions use.
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
    /// Starts a function process in this deployment.
    pub async fn start(&self, function: &str, binary: &Path) -> Lambda {
        let name = if function == BARE { "push" } else { function };
        let services = services::serve(&self.stack, name, Arc::new(NoHook)).await;
        let port = self.authority.start_proxy(services).await;
        let mut environment = lambda::environment(name, &format!("https://localhost:{port}"));
        environment.insert(
            "AWS_CA_BUNDLE".to_owned(),
            self.authority.bundle.path().display().to_string(),
        );
        Lambda::start(binary, name, environment).await
    }
}

/// Starts a function several times, sends one event each time, and returns the medians.
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

/// Returns the lowest CPU time to the first poll of several starts in ms. Other load on the machine
/// only increases it, by up to a fifth on a busy machine. Therefore further starts are measured
/// while it exceeds `enough`.
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

        let id = lambda.id().expect("the function is running");
        let ready_cpu = process::cpu(id);
        let response = lambda.ask(&event).await;
        assert!(
            !response.contains("\"statusCode\":5"),
            "{function}: {response}"
        );

        lambda.idle().await;
        let (ready_cpu_ms, response_cpu_ms) =
            (milliseconds(ready_cpu), milliseconds(process::cpu(id)));
        started.push(StartCost {
            ready_cpu_ms,
            ready_ms: milliseconds(ready),
            response_cpu_ms,
            peak_mb: process::peak_mb(id).expect("the function is running"),
        });
    }
    started
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
