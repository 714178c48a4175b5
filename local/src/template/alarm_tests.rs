//! The alarms' expressions, evaluated: CloudWatch's metric math as far as the template uses it.
//! Nothing here or on LocalStack would notice an expression that never goes.

use std::collections::BTreeMap;
use std::iter::Peekable;

use super::*;

/// The values of one period. A metric without data is not in it.
type Period = BTreeMap<String, f64>;

/// A data point that a missing metric has no value for is missing itself.
struct Expression<'a, I: Iterator<Item = String>> {
    tokens: Peekable<I>,
    period: &'a Period,
}

fn evaluate(expression: &str, period: &Period) -> Option<f64> {
    let spaced = ["(", ")", ",", "*", "/", "-"]
        .iter()
        .fold(expression.to_owned(), |text, sign| {
            text.replace(sign, &format!(" {sign} "))
        });
    let tokens: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
    let mut expression = Expression {
        tokens: tokens.into_iter().peekable(),
        period,
    };
    let value = expression.conjunction();
    assert_eq!(expression.tokens.next(), None, "the whole expression");
    value
}

impl<I: Iterator<Item = String>> Expression<'_, I> {
    fn takes(&mut self, token: &str) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }

    fn conjunction(&mut self) -> Option<f64> {
        let mut value = self.comparison();
        while self.takes("AND") {
            let other = self.comparison();
            value = value
                .zip(other)
                .map(|(a, b)| f64::from(a != 0.0 && b != 0.0));
        }
        value
    }

    fn comparison(&mut self) -> Option<f64> {
        let value = self.sum();
        let Some(sign) = self
            .tokens
            .next_if(|next| matches!(next.as_str(), ">" | ">=" | "=="))
        else {
            return value;
        };
        value.zip(self.sum()).map(|(a, b)| {
            f64::from(match sign.as_str() {
                ">" => a > b,
                ">=" => a >= b,
                _ => (a - b).abs() < f64::EPSILON,
            })
        })
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product();
        while self.takes("-") {
            let other = self.product();
            value = value.zip(other).map(|(a, b)| a - b);
        }
        value
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.operand();
        while let Some(sign) = self
            .tokens
            .next_if(|next| matches!(next.as_str(), "*" | "/"))
        {
            let other = self.operand();
            value = value
                .zip(other)
                .map(|(a, b)| if sign == "*" { a * b } else { a / b });
        }
        value
    }

    fn operand(&mut self) -> Option<f64> {
        let token = self.tokens.next().unwrap();
        if !self.takes("(") {
            if token == "(" {
                let value = self.conjunction();
                assert!(self.takes(")"));
                return value;
            }
            return token
                .parse()
                .ok()
                .or_else(|| self.period.get(&token).copied());
        }
        let mut arguments = vec![self.conjunction()];
        while self.takes(",") {
            arguments.push(self.conjunction());
        }
        assert!(self.takes(")"));
        match (token.as_str(), arguments.as_slice()) {
            ("FILL", [value, other]) => value.or(*other),
            ("IF", [condition, then, other]) => {
                if (*condition)? != 0.0 {
                    *then
                } else {
                    *other
                }
            }
            _ => panic!("{token} of {} arguments", arguments.len()),
        }
    }
}

/// An alarm's expression, its threshold and comparison, and what its metrics are called.
struct Alarm {
    definition: Yaml,
    expression: String,
}

impl Alarm {
    fn named(id: &str) -> Self {
        let template = Template::built_in().unwrap();
        let (_, resource) = template
            .resources("AWS::CloudWatch::Alarm")
            .find(|(found, _)| *found == id)
            .unwrap();
        let definition = resource["Properties"].clone();
        let expression = definition["Metrics"]
            .as_sequence()
            .unwrap()
            .iter()
            .find_map(|it| it.get("Expression")?.as_str());
        Self {
            expression: expression.unwrap().to_owned(),
            definition,
        }
    }

    /// Whether a period with these values is one that the alarm counts.
    fn breaches(&self, period: &[(&str, f64)]) -> bool {
        let metrics = self.definition["Metrics"].as_sequence().unwrap();
        for (id, _) in period {
            assert!(
                metrics.iter().any(|metric| metric["Id"] == *id),
                "{id} is a metric of the alarm"
            );
        }
        let period = period
            .iter()
            .map(|(id, value)| ((*id).to_owned(), *value))
            .collect();
        let threshold = self.definition["Threshold"].as_f64().unwrap();
        let Some(value) = evaluate(&self.expression, &period) else {
            return false;
        };
        match self.definition["ComparisonOperator"].as_str().unwrap() {
            "GreaterThanThreshold" => value > threshold,
            "GreaterThanOrEqualToThreshold" => value >= threshold,
            other => panic!("{other}"),
        }
    }

    fn periods(&self) -> (u64, u64, u64) {
        let number = |value: &Yaml| value.as_u64().unwrap();
        let seconds = self.definition["Metrics"]
            .as_sequence()
            .unwrap()
            .iter()
            .find_map(|it| it["MetricStat"]["Period"].as_u64());
        (
            seconds.unwrap(),
            number(&self.definition["DatapointsToAlarm"]),
            number(&self.definition["EvaluationPeriods"]),
        )
    }
}

#[test]
fn accepted_changes_without_sequenced_ones_alarm() {
    let alarm = Alarm::named("NothingSequencedAlarm");
    assert_eq!(alarm.periods(), (300, 2, 24));
    assert!(
        alarm.breaches(&[("accepted", 1.0)]),
        "a mapping that is disabled writes no metric at all"
    );
    assert!(alarm.breaches(&[("accepted", 500.0), ("sequenced", 0.0)]));
    for quiet in [
        &[][..],
        &[("sequenced", 3.0)],
        &[("accepted", 5.0), ("sequenced", 1.0)],
        &[("accepted", 0.0)],
    ] {
        assert!(!alarm.breaches(quiet), "{quiet:?}");
    }
}

#[test]
fn unavailable_requests_alarm_by_their_proportion() {
    let alarm = Alarm::named("UnavailableAlarm");
    assert_eq!(alarm.periods(), (60, 3, 5));
    assert!(alarm.breaches(&[("outages", 5.0), ("requests", 499.0)]));
    assert!(alarm.breaches(&[("outages", 200.0), ("requests", 10_000.0)]));
    for quiet in [
        &[][..],
        &[("requests", 10_000.0)],
        &[("outages", 100.0), ("requests", 10_000.0)],
        &[("outages", 4.0), ("requests", 4.0)],
        &[("outages", 50.0)],
    ] {
        assert!(!alarm.breaches(quiet), "{quiet:?}");
    }
}

#[test]
fn throttled_requests_alarm_and_other_refusals_do_not() {
    let alarm = Alarm::named("TooManyRequestsAlarm");
    assert_eq!(alarm.periods(), (60, 3, 5));
    assert!(
        alarm.breaches(&[("clients", 60.0), ("requests", 1000.0)]),
        "the gateway answered them"
    );
    assert!(alarm.breaches(&[
        ("clients", 160.0),
        ("refusals", 100.0),
        ("requests", 1000.0)
    ]));
    for quiet in [
        &[][..],
        &[("requests", 1000.0)],
        &[("clients", 50.0), ("requests", 1000.0)],
        &[
            ("clients", 900.0),
            ("refusals", 900.0),
            ("requests", 1000.0),
        ],
        &[("clients", 30.0), ("requests", 59.0)],
        &[("refusals", 10.0), ("requests", 100.0)],
    ] {
        assert!(!alarm.breaches(quiet), "{quiet:?}");
    }
}
