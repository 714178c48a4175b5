//! Settings that LocalStack accepts without effect and a local run does not use. These tests check
//! the template itself, because an error would otherwise only show on AWS.

use std::collections::BTreeSet;
use std::path::Path;

use tidemark_core::rules::media::{Keyring, MediaKey};
use uuid::Uuid;

use super::*;

/// Returns the resources of a type: id, definition, properties.
pub(super) fn all(kind: &str) -> Vec<(String, Yaml, Yaml)> {
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

pub(super) fn yaml(text: &str) -> Yaml {
    serde_yaml_ng::from_str(text).unwrap()
}

fn is_kept(resource: &Yaml) -> bool {
    // With this policy a failed first deployment leaves no resources.
    resource["DeletionPolicy"] == "RetainExceptOnCreate"
        && resource["UpdateReplacePolicy"] == "Retain"
}

#[test]
fn tables_are_restorable_encrypted_and_retained() {
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
            "{id}: a table with a fixed name cannot be replaced, nor exist beside an older one"
        );
    }
}

/// Only data with a bounded lifetime expires: items of resources, conflicts and the audit log do
/// not.
#[test]
fn only_change_log_and_batches_expire() {
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
fn buckets_are_private_encrypted_and_retained() {
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

/// Overwritten and deleted uploads can be restored for 30 days.
fn assert_old_versions_expire(media: &Yaml, rules: &[Yaml]) {
    assert_eq!(media["VersioningConfiguration"]["Status"], "Enabled");
    let old: Vec<_> = rules
        .iter()
        .filter(|rule| rule.get("Prefix").is_none())
        .filter_map(|rule| {
            rule.get("NoncurrentVersionExpiration")?
                .get("NoncurrentDays")?
                .as_u64()
        })
        .collect();
    assert_eq!(
        old,
        [30],
        "an overwritten or deleted upload can be restored for 30 days"
    );
}

/// Only uploads that no push has named expire, after a week.
fn assert_unreferenced_uploads_expire(rules: &[Yaml]) {
    let keyring = Keyring::new("a secret with at least 32 bytes in it", None).unwrap();
    let key = MediaKey::new("acme", "ana", Uuid::nil(), 1, "image/png", &keyring);
    let expiring: Vec<_> = rules
        .iter()
        .filter(|rule| rule.get("ExpirationInDays").is_some())
        .collect();

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
}

#[test]
fn unreferenced_uploads_expire_and_browsers_may_upload() {
    let (_, _, media) = all(BUCKET_KIND)
        .into_iter()
        .find(|(id, ..)| id == "MediaBucket")
        .unwrap();
    let rules = media["LifecycleConfiguration"]["Rules"]
        .as_sequence()
        .unwrap();

    assert_old_versions_expire(&media, rules);
    assert_unreferenced_uploads_expire(rules);

    let cors = yaml(
        "{'Fn::If': [HasAllowedOrigins, {CorsRules: [{AllowedMethods: [PUT], AllowedOrigins: {'Fn::Split': [',', {Ref: AllowedOrigins}]},
          AllowedHeaders: ['*'], MaxAge: 3600}]}, {Ref: 'AWS::NoValue'}]}",
    );
    assert_eq!(media["CorsConfiguration"], cors);
}

#[test]
fn streams_are_read_completely_and_retried() {
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

        // A bucket receives the whole records; a queue or a topic would receive only their sequence
        // numbers.
        assert_eq!(
            mapping["DestinationConfig"]["OnFailure"]["Destination"],
            yaml("{'Fn::GetAtt': FailureBucket.Arn}"),
            "{id}"
        );
    }
}

#[test]
fn dead_letters_are_announced_on_alarmed_queue() {
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

/// Checks that the function is built from its crate and has a log group with a retention, and
/// returns the name of its binary.
fn assert_built_with_log_retention(
    id: &str,
    resource: &Yaml,
    logs: &[(String, Yaml, Yaml)],
) -> String {
    let function = &resource["Properties"];
    let binary = functions::binary(id, resource);
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
    binary
}

/// Checks the runtime, the tracing and the architecture that all functions share.
fn assert_function_globals(template: &Template) {
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

#[test]
fn function_crates_are_deployed_with_log_retention() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions");
    let crates: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();

    let logs = all("AWS::Logs::LogGroup");
    let deployed: BTreeSet<_> = all(functions::KIND)
        .into_iter()
        .map(|(id, resource, _)| assert_built_with_log_retention(&id, &resource, &logs))
        .collect();

    assert_eq!(deployed, crates);
    assert_function_globals(&Template::built_in().unwrap());
}

/// A function must end before the gateway's timeout of 29 s, so that it can return its own error.
#[test]
fn api_functions_end_before_gateway_timeout() {
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
fn api_is_throttled_and_logs_no_content() {
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

#[test]
fn template_exports_all_needed_outputs() {
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
        "ConsoleUrl",
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
