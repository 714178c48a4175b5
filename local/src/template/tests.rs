//! What LocalStack takes and does not do, and a laptop has no use for: it is checked here, on the
//! template itself, because nothing else would notice before AWS does.

use std::collections::BTreeSet;
use std::path::Path;

use tidemark_aws::metrics::{Metric, NAMESPACE};
use tidemark_core::media::{Keyring, MediaKey};
use uuid::Uuid;

use super::*;

/// Resources of a type: id, the resource, its properties.
fn all(kind: &str) -> Vec<(String, Yaml, Yaml)> {
    let template = Template::built_in().unwrap();
    let found: Vec<_> = template
        .resources(kind)
        .map(|(id, resource)| {
            (
                id.to_owned(),
                resource.clone(),
                resource["Properties"].clone(),
            )
        })
        .collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

fn yaml(text: &str) -> Yaml {
    serde_yaml_ng::from_str(text).unwrap()
}

fn is_kept(resource: &Yaml) -> bool {
    // A first deployment that fails leaves nothing behind.
    resource["DeletionPolicy"] == "RetainExceptOnCreate"
        && resource["UpdateReplacePolicy"] == "Retain"
}

#[test]
fn every_table_is_on_demand_restorable_encrypted_and_kept() {
    for (id, resource, table) in all(tables::KIND) {
        assert!(is_kept(&resource), "{id}");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{id}");
        assert_eq!(
            table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true,
            "{id}"
        );
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{id}");
        assert!(
            table.get("TableName").is_none(),
            "{id}: a name of its own could not be replaced, nor stand beside an older one"
        );
    }
}

/// What is expired is what may be forgotten: rows of resources, conflicts and the audit log are
/// not.
#[test]
fn exactly_the_log_and_the_batches_expire() {
    let expiring: Vec<_> = all(tables::KIND)
        .into_iter()
        .filter(|(_, _, table)| table.get("TimeToLiveSpecification").is_some())
        .map(|(id, _, table)| {
            assert_eq!(
                table["TimeToLiveSpecification"],
                yaml("{AttributeName: expires_at, Enabled: true}"),
                "{id}"
            );
            id
        })
        .collect();
    assert_eq!(
        expiring,
        ["ChangesTable", "SyncBatchesTable", "SyncItemsTable"]
    );
}

#[test]
fn every_bucket_is_private_encrypted_and_kept() {
    for (id, resource, bucket) in all(BUCKET_KIND) {
        assert!(is_kept(&resource), "{id}");
        let open = &bucket["PublicAccessBlockConfiguration"];
        for block in [
            "BlockPublicAcls",
            "BlockPublicPolicy",
            "IgnorePublicAcls",
            "RestrictPublicBuckets",
        ] {
            assert_eq!(open[block], true, "{id}: {block}");
        }
        let encryption = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
        assert_eq!(
            encryption["SSEAlgorithm"],
            yaml("{'Fn::If': [HasKey, 'aws:kms', AES256]}"),
            "{id}"
        );
    }
}

#[test]
fn uploads_that_nobody_names_expire_where_they_arrive_and_browsers_may_upload() {
    let (_, _, media) = all(BUCKET_KIND)
        .into_iter()
        .find(|(id, ..)| id == "MediaBucket")
        .unwrap();
    let keyring = Keyring::new("a secret with at least 32 bytes in it", None).unwrap();
    let key = MediaKey::new("acme", "ana", Uuid::nil(), 1, "image/png", &keyring);
    let rules = media["LifecycleConfiguration"]["Rules"]
        .as_sequence()
        .unwrap();
    let expiring: Vec<_> = rules
        .iter()
        .filter(|rule| rule.get("ExpirationInDays").is_some())
        .collect();
    assert_eq!(media["VersioningConfiguration"]["Status"], "Enabled");
    let old = rules.iter().filter(|rule| rule.get("Prefix").is_none());
    let old: Vec<_> = old
        .filter_map(|rule| {
            rule.get("NoncurrentVersionExpiration")?
                .get("NoncurrentDays")?
                .as_u64()
        })
        .collect();
    assert_eq!(
        old,
        [30],
        "an upload that was overwritten or deleted can be restored for a month"
    );
    assert_eq!(expiring.len(), 1);
    let prefix = expiring[0]["Prefix"].as_str().unwrap();
    assert_eq!(
        (
            expiring[0]["Status"].as_str(),
            expiring[0]["ExpirationInDays"].as_u64()
        ),
        (Some("Enabled"), Some(7))
    );
    assert!(
        key.arrival().starts_with(prefix) && !key.to_string().starts_with(prefix),
        "{prefix}"
    );
    let cors = yaml(
        "{'Fn::If': [HasAllowedOrigins, {CorsRules: [{AllowedMethods: [PUT], AllowedOrigins: {'Fn::Split': [',', {Ref: AllowedOrigins}]},
          AllowedHeaders: ['*'], MaxAge: 3600}]}, {Ref: 'AWS::NoValue'}]}",
    );
    assert_eq!(media["CorsConfiguration"], cors);
}

#[test]
fn every_stream_is_read_from_its_beginning_and_retried_for_as_long_as_it_keeps_a_record() {
    let template = Template::built_in().unwrap();
    let mappings: Vec<_> = template.events("DynamoDB").collect();
    assert_eq!(mappings.len(), 2);
    for (id, _, _, mapping) in mappings {
        let expected = yaml(
            "{StartingPosition: TRIM_HORIZON, FunctionResponseTypes: [ReportBatchItemFailures], BisectBatchOnFunctionError: true,
              MaximumRetryAttempts: -1, MaximumRecordAgeInSeconds: 82800, ParallelizationFactor: 1}",
        );
        for (name, value) in expected.as_mapping().unwrap() {
            assert_eq!(mapping.get(name), Some(value), "{id}: {name:?}");
        }
        // A bucket keeps the records; a queue or a topic would be told their numbers only.
        assert_eq!(
            mapping["DestinationConfig"]["OnFailure"]["Destination"],
            yaml("{'Fn::GetAtt': FailureBucket.Arn}"),
            "{id}"
        );
    }
}

#[test]
fn what_is_set_aside_is_announced_on_a_queue_that_has_an_alarm() {
    let (_, _, bucket) = all(BUCKET_KIND)
        .into_iter()
        .find(|(id, ..)| id == "FailureBucket")
        .unwrap();
    assert_eq!(
        bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"],
        true
    );
    let (_, _, rule) = all("AWS::Events::Rule").remove(0);
    assert_eq!(
        rule["EventPattern"]["detail"]["bucket"]["name"],
        yaml("[{Ref: FailureBucket}]")
    );
    assert_eq!(
        rule["Targets"][0]["Arn"],
        yaml("{'Fn::GetAtt': FailureQueue.Arn}")
    );
    let (_, _, queue) = all("AWS::SQS::Queue").remove(0);
    assert_eq!(
        queue["MessageRetentionPeriod"].as_u64(),
        Some(14 * 24 * 3600)
    );
    let alarms = all("AWS::CloudWatch::Alarm");
    assert!(
        alarms
            .iter()
            .any(|(_, _, alarm)| alarm["Dimensions"][0]["Value"]
                == yaml("{'Fn::GetAtt': FailureQueue.QueueName}"))
    );
}

#[test]
fn every_crate_among_the_functions_is_deployed_and_logs_where_logs_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let crates: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let logs = all("AWS::Logs::LogGroup");
    let mut deployed = BTreeSet::new();
    for (id, resource, function) in all(functions::KIND) {
        let binary = functions::binary(&id, &resource);
        assert_eq!(
            resource["Metadata"]["BuildMethod"], "rust-cargolambda",
            "{id}"
        );
        assert_eq!(
            function["CodeUri"].as_str(),
            Some(format!("functions/{binary}").as_str()),
            "{id}"
        );
        let group = function["LoggingConfig"]["LogGroup"]["Ref"]
            .as_str()
            .unwrap_or_else(|| panic!("{id} has no log group"));
        let (_, _, group) = logs.iter().find(|(name, ..)| name == group).unwrap();
        assert_eq!(
            group["RetentionInDays"],
            yaml("{Ref: FunctionLogDays}"),
            "{id}"
        );
        deployed.insert(binary);
    }
    assert_eq!(deployed, crates);
    let template = Template::built_in().unwrap();
    let globals = template.globals().unwrap();
    assert_eq!(
        (globals["Runtime"].as_str(), &globals["Tracing"]),
        (Some("provided.al2023"), &yaml("{Ref: Tracing}"))
    );
    let tracing = &template.root["Parameters"]["Tracing"];
    assert_eq!(
        (tracing["Default"].as_str(), &tracing["AllowedValues"]),
        (Some("PassThrough"), &yaml("[PassThrough, Active]"))
    );
    let parameter = &template.root["Parameters"]["Architecture"];
    assert_eq!(
        (&globals["Architectures"], &parameter["Default"]),
        (&yaml("[{Ref: Architecture}]"), &yaml("arm64"))
    );
}

/// A function ends by itself before the gateway gives up on it, and says so.
#[test]
fn functions_behind_the_api_end_before_the_gateway_hangs_up() {
    let template = Template::built_in().unwrap();
    let behind: BTreeSet<_> = template
        .events("Api")
        .map(|(id, ..)| id.to_owned())
        .collect();
    for (id, _, function) in all(functions::KIND) {
        let seconds = function
            .get("Timeout")
            .or_else(|| template.globals()?.get("Timeout"))
            .and_then(Yaml::as_u64)
            .unwrap();
        assert!(seconds < 29 || !behind.contains(&id), "{id}: {seconds}");
    }
}

#[test]
fn the_api_is_bounded_and_logs_nothing_that_was_sent() {
    let (_, _, api) = all("AWS::Serverless::Api").remove(0);
    assert_eq!(
        api["TracingEnabled"],
        yaml("{'Fn::If': [TracesApi, true, false]}")
    );
    let methods = &api["MethodSettings"][0];
    let expected = yaml(
        "{HttpMethod: '*', ResourcePath: '/*', ThrottlingRateLimit: {Ref: ThrottleRate}, ThrottlingBurstLimit: {Ref: ThrottleBurst},
          MetricsEnabled: false, LoggingLevel: 'OFF', DataTraceEnabled: false}",
    );
    assert_eq!(*methods, expected);
    let log = &api["AccessLogSetting"]["Fn::If"];
    assert_eq!(log[0], "HasAccessLogs");
    let format = log[1]["Format"].as_str().unwrap();
    let line: BTreeMap<String, String> = serde_json::from_str(format).unwrap();
    assert!(
        !format.contains('\n') && line["request_id"] == "$context.requestId",
        "{format}"
    );
    for word in [
        "$input",
        "header",
        "querystring",
        "authorizer",
        "$context.path\"",
        "body",
    ] {
        assert!(!format.to_lowercase().contains(word), "{word} in {format}");
    }
}

/// Somebody is woken by it: then there is something to do, written down.
#[test]
fn every_alarm_has_a_page_and_every_page_its_alarm() {
    let operations = include_str!("../../../docs/operations.md");
    let (_, pages) = operations.split_once("## Alarms").unwrap();
    let pages = pages.split("\n## ").next().unwrap(); // what follows has pages of its own
    let pages: BTreeSet<_> = pages
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
    assert_eq!(alarms, pages);
}

/// A metric that nobody writes would be an alarm that never goes.
#[test]
fn alarms_and_dashboard_look_at_metrics_that_the_functions_write() {
    let written: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let mut looked_at = BTreeSet::new();
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
            looked_at.insert(metric["MetricName"].as_str().unwrap().to_owned());
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
                looked_at.insert(metric[1].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(
        looked_at.len() > 10 && looked_at.is_subset(&written),
        "{:?}",
        looked_at.difference(&written)
    );
}

#[test]
fn every_output_that_clients_and_operators_need_is_there() {
    let template = Template::built_in().unwrap();
    let outputs: BTreeSet<_> = template.root["Outputs"]
        .as_mapping()
        .unwrap()
        .keys()
        .filter_map(Yaml::as_str)
        .map(str::to_owned)
        .collect();
    let tables = all(tables::KIND)
        .into_iter()
        .map(|(id, ..)| format!("{id}Name"));
    let others = [
        "ApiUrl",
        "ApiId",
        "MediaBucketName",
        "FailureBucketName",
        "FailureQueueUrl",
        "NotificationTopicArn",
        "ChangelogFunctionName",
        "ResolveFunctionName",
    ];
    let needed: BTreeSet<_> = tables.chain(others.map(str::to_owned)).collect();
    assert_eq!(outputs, needed);
}
