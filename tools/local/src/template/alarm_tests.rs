//! Checks that the alarms are documented and use metrics that the functions write, and evaluates
//! their expressions with the part of CloudWatch's metric math that the template uses. Neither the
//! local runner nor LocalStack would detect an alarm that never triggers.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use tidemark_aws::metrics::{Metric, NAMESPACE};

use super::tests::{all, yaml};
use super::*;

/// The values of one period by metric id. A metric without data is absent.
type Period = BTreeMap<String, f64>;

/// Evaluates an expression token by token. An operation on a missing value has no value.
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
    assert_eq!(
        expression.tokens.next(),
        None,
        "tokens remain after the expression"
    );
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

/// The definition of an alarm, and the expression in it.
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

    /// Returns whether the alarm counts a period with these values as breaching.
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
        "a disabled mapping writes no metric"
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

/// A single corrupt row prevents work until an operator corrects it, unlike a single outage.
#[test]
fn one_corrupt_item_alarms() {
    let alarms = all("AWS::CloudWatch::Alarm");
    let (_, _, alarm) = alarms
        .into_iter()
        .find(|(id, ..)| id == "CorruptItemsAlarm")
        .unwrap();

    for (name, value) in [
        ("MetricName", "CorruptItems"),
        ("Statistic", "Sum"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("Threshold", "0"),
        ("DatapointsToAlarm", "1"),
    ] {
        assert_eq!(alarm[name], yaml(value), "{name}");
    }
}

#[test]
fn throttled_requests_alarm_other_rejections_do_not() {
    let alarm = Alarm::named("TooManyRequestsAlarm");
    assert_eq!(alarm.periods(), (60, 3, 5));
    assert!(
        alarm.breaches(&[("clients", 60.0), ("requests", 1000.0)]),
        "the gateway rejected them"
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

/// Each alarm has a section in the operations manual that describes what to do.
#[test]
fn alarms_match_operations_sections() {
    let operations = include_str!("../../../../docs/operations.md");
    let (_, sections) = operations.split_once("## Alarms").unwrap();
    // The next section of the second level has other headings of the third level.
    let sections = sections.split("\n## ").next().unwrap();
    let sections: BTreeSet<_> = sections
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_owned)
        .collect();

    let alarms: BTreeSet<_> = all("AWS::CloudWatch::Alarm")
        .into_iter()
        .map(|(id, _, alarm)| {
            let name = id.strip_suffix("Alarm").unwrap().to_owned();
            assert_eq!(
                alarm["AlarmName"]["Fn::Sub"].as_str(),
                Some(format!("${{AWS::StackName}}-{name}").as_str())
            );
            assert!(
                alarm["AlarmDescription"]
                    .as_str()
                    .unwrap()
                    .ends_with(&format!("docs/operations.md, {name}.")),
                "{id}"
            );
            assert_eq!(
                (
                    &alarm["TreatMissingData"],
                    alarm["AlarmActions"]["Fn::If"][0].as_str()
                ),
                (&yaml("notBreaching"), Some("HasAlarmTopic"))
            );
            name
        })
        .collect();

    assert_eq!(alarms, sections);
}

/// An alarm on a metric that no function writes would never trigger.
#[test]
fn alarms_and_dashboard_use_written_metrics() {
    let written: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let mut referenced = BTreeSet::new();
    for (_, _, alarm) in all("AWS::CloudWatch::Alarm") {
        let in_math = alarm
            .get("Metrics")
            .and_then(Yaml::as_sequence)
            .into_iter()
            .flatten();
        let in_math = in_math.filter_map(|metric| metric.get("MetricStat")?.get("Metric"));
        for metric in in_math
            .chain([&alarm])
            .filter(|metric| metric.get("Namespace").is_some_and(|it| it == NAMESPACE))
        {
            referenced.insert(metric["MetricName"].as_str().unwrap().to_owned());
            assert_eq!(
                metric["Dimensions"],
                yaml("[{Name: Stack, Value: {Ref: 'AWS::StackName'}}]")
            );
        }
    }

    let (_, _, dashboard) = all("AWS::CloudWatch::Dashboard").remove(0);
    let body: serde_json::Value =
        serde_json::from_str(dashboard["DashboardBody"]["Fn::Sub"].as_str().unwrap()).unwrap();
    for widget in body["widgets"].as_array().unwrap() {
        for metric in widget["properties"]["metrics"].as_array().unwrap() {
            if metric[0] == NAMESPACE {
                assert_eq!(
                    (&metric[2], &metric[3]),
                    (&"Stack".into(), &"${AWS::StackName}".into())
                );
                referenced.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }

    assert!(
        referenced.len() > 10 && referenced.is_subset(&written),
        "{:?}",
        referenced.difference(&written)
    );
}
