//! `bench work`: CPU time without the engine and work counters of the most expensive valid
//! requests, compared with ordinary requests.

mod measure;
mod tables;

use std::time::Duration;

use indicatif::ProgressBar;
use tidemark_tests::requests::{Scale, cases};
use tokio::runtime::Builder;

use crate::table::Table;
pub use measure::Spent;

/// A request of a route and its measured cost.
#[derive(Debug)]
pub struct RequestCost {
    /// The method and path of the route.
    pub route: (&'static str, &'static str),
    /// The name of the request.
    pub name: &'static str,
    /// The ordinary request of the same kind, unless this one is ordinary.
    pub ordinary: Option<&'static str>,
    /// The resources that the request used.
    pub spent: Spent,
}

/// Measures the requests whose name or route contains `only`, each on a separate deployment, and
/// the ordinary requests for comparison.
pub fn tables(only: &str) -> Vec<Table> {
    let is_wanted = |text: &str| only.is_empty() || text.contains(only);
    let wanted: Vec<_> = cases()
        .filter(|case| is_wanted(case.name) || is_wanted(case.route.1))
        .collect();

    let is_compared = |name: &str| {
        wanted
            .iter()
            .any(|case| case.ordinary == Some(name) || case.name == name)
    };

    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));

    let measured: Vec<RequestCost> = cases()
        .filter(|case| is_compared(case.name))
        .map(|case| {
            bar.set_message(case.name);
            let spent = runtime.block_on(measure::spent(case, Scale::FULL));
            RequestCost {
                route: case.route,
                name: case.name,
                ordinary: case.ordinary,
                spent,
            }
        })
        .collect();

    bar.finish_and_clear();
    vec![tables::times(&measured), tables::counters(&measured)]
}
