//! What a million items cost, pushed in 50s and pulled once in 100s.

use super::operations::Operations;
use crate::{
    budgets,
    prices::{Aws, prices},
    table::{Row, Table},
};

const MILLION: f64 = 1e6;
const PUSH: f64 = 50.0;
const PULL: f64 = 100.0;

/// The dollars, beside what others publish.
pub fn table(measured: &[Operations]) -> Table {
    let prices = prices();
    let note = format!(
        "DynamoDB on demand, and the requests to API Gateway (a REST API) and Lambda; list prices of us-east-1 as of {}, from `bench/prices.toml`. Not in it: the time \
         of the functions, storage and transfer. The floor is the least row for each item, read once in a page that is packed, and the same requests. \
         The peers' prices are for reads and writes one by one, as they charge them.",
        prices.as_of
    );
    let mut table = Table::new("cost-dollars", "Dollars per million items", note);
    for operations in measured {
        let pull = operations.pull_packed.read_units / PULL;
        let floor = dollars(
            &prices.aws,
            operations.floor_write,
            operations.floor_page / PULL,
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
            .floor(floor);
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
