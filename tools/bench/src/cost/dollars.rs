//! Dollars per million items that are pushed in batches of 50 and pulled once in pages of 100.

use super::operations::Operations;
use crate::{
    budgets,
    prices::{Aws, prices},
    table::{Row, Table},
};

const MILLION: f64 = 1e6;
const PUSH: f64 = 50.0;
const PULL: f64 = 100.0;

/// Returns the table of costs in dollars, with the published prices of other products.
pub fn table(measured: &[Operations]) -> Table {
    let prices = prices();
    let note = format!(
        "On-demand DynamoDB, and requests to API Gateway (a REST API) and Lambda; list prices of \
         us-east-1 as of {}, from `tools/bench/prices.toml`. Excluded: duration of the functions, \
         storage and transfer. The baseline is a minimal row per item, read once in a packed \
         page, and the same requests. The peers' prices are for single reads and writes, as they \
         charge them.",
        prices.as_of
    );
    let mut table = Table::new("cost-dollars", "Dollars per million items", note);

    for operations in measured {
        let pull = operations.pull_packed.read_units / PULL;
        let baseline = dollars(
            &prices.aws,
            operations.baseline_write,
            operations.baseline_page / PULL,
        );

        for (what, pushed) in [
            ("created", &operations.creates),
            ("updated", &operations.updates),
        ] {
            let name = format!("{} bytes, {what} and pulled once", operations.bytes);
            let row = Row::new(
                name,
                "$",
                dollars(
                    &prices.aws,
                    pushed.write_units(),
                    pushed.read_units() + pull,
                ),
            )
            .baseline(baseline);

            let is_small = operations.bytes == super::PAYLOAD_BYTES[0];
            table.rows.push(if is_small {
                row.budget(budgets::DOLLARS_PER_MILLION)
            } else {
                row
            });
        }
    }

    for peer in &prices.peers {
        table.rows.push(Row::new(
            format!("{}, at least", peer.name),
            "$",
            peer.million_low,
        ));
        table.rows.push(Row::new(
            format!("{}, at most", peer.name),
            "$",
            peer.million_high,
        ));
    }
    table
}

fn dollars(aws: &Aws, write_units: f64, read_units: f64) -> f64 {
    let requests = MILLION / PUSH + MILLION / PULL;
    aws.units(write_units * MILLION, read_units * MILLION)
        + requests * (aws.api_requests_million + aws.lambda_requests_million) / 1e6
}
