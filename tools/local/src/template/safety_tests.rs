//! Protection of stored data within its own account: transport, deletion, keys, logging roles.
//! LocalStack accepts all of these settings and implements none.

use super::*;

fn yaml(text: &str) -> Yaml {
    serde_yaml_ng::from_str(text).unwrap()
}

/// Returns the resources of a type: id and properties.
fn all(kind: &str) -> Vec<(String, Yaml)> {
    let template = Template::built_in().unwrap();
    let found: Vec<_> = template
        .resources(kind)
        .map(|(id, it)| (id.to_owned(), it["Properties"].clone()))
        .collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

/// Returns whether a policy denies all principals the action for requests without TLS.
fn denies_plaintext(policy: &Yaml, action: &str) -> bool {
    policy["PolicyDocument"]["Statement"]
        .as_sequence()
        .unwrap()
        .iter()
        .any(|statement| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == action
                && statement["Condition"] == yaml("{Bool: {'aws:SecureTransport': 'false'}}")
        })
}

/// The admins of every tenant would be operators of the deployment.
#[test]
fn admin_text_grants_no_other_role() {
    let template = Template::built_in().unwrap();
    for parameter in ["RoleViewer", "RoleOperator"] {
        let pattern = &template.root["Parameters"][parameter]["AllowedPattern"];
        assert_eq!(pattern.as_str(), Some("^(?!admin$).*$"), "{parameter}");
    }
}

#[test]
fn buckets_queue_and_topic_reject_plaintext() {
    let policies = all("AWS::S3::BucketPolicy");
    for (id, _) in all(BUCKET_KIND) {
        let (_, policy) = policies
            .iter()
            .find(|(_, policy)| policy["Bucket"]["Ref"] == id.as_str())
            .unwrap();
        assert!(denies_plaintext(policy, "s3:*"), "{id}");
        let resources = &policy["PolicyDocument"]["Statement"][0]["Resource"];
        let expected = format!("[{{'Fn::GetAtt': {id}.Arn}}, {{'Fn::Sub': '${{{id}.Arn}}/*'}}]");
        assert_eq!(
            *resources,
            yaml(&expected),
            "{id}: the bucket and its objects"
        );
    }

    let template = Template::built_in().unwrap();
    for (id, policy) in template.resources("AWS::S3::BucketPolicy") {
        assert_eq!(
            policy["DeletionPolicy"], "RetainExceptOnCreate",
            "{id} is retained with its bucket"
        );
        assert_eq!(policy["UpdateReplacePolicy"], "Retain", "{id}");
    }

    for (kind, policy_kind, field, action) in [
        (
            "AWS::SQS::Queue",
            "AWS::SQS::QueuePolicy",
            "Queues",
            "sqs:*",
        ),
        (TOPIC_KIND, "AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
    ] {
        let policies = all(policy_kind);
        for (id, _) in all(kind) {
            let of = yaml(&format!("[{{Ref: {id}}}]"));
            let (_, policy) = policies
                .iter()
                .find(|(_, policy)| policy[field] == of)
                .unwrap();
            assert!(denies_plaintext(policy, action), "{id}");
        }
    }
}

#[test]
fn tables_are_protected_from_deletion_by_default() {
    let template = Template::built_in().unwrap();
    assert_eq!(
        template.root["Parameters"]["DeletionProtection"]["Default"],
        "on"
    );
    assert_eq!(
        template.root["Conditions"]["ProtectsTables"],
        yaml("{'Fn::Equals': [{Ref: DeletionProtection}, 'on']}")
    );

    for (id, table) in all(tables::KIND) {
        assert_eq!(
            table["DeletionProtectionEnabled"],
            yaml("{'Fn::If': [ProtectsTables, true, false]}"),
            "{id}"
        );
    }
}

#[test]
fn customer_key_encrypts_all_stored_data() {
    let key = yaml("{'Fn::If': [HasKey, {Ref: KmsKeyArn}, {Ref: 'AWS::NoValue'}]}");
    for (id, table) in all(tables::KIND) {
        assert_eq!(table["SSESpecification"]["KMSMasterKeyId"], key, "{id}");
        assert_eq!(
            table["SSESpecification"]["SSEType"]["Fn::If"][1], "KMS",
            "{id}"
        );
    }

    for (id, bucket) in all(BUCKET_KIND) {
        let rule = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        assert_eq!(
            rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"], key,
            "{id}"
        );
    }

    for (id, group) in all("AWS::Logs::LogGroup") {
        assert_eq!(group["KmsKeyId"], key, "{id}");
    }
    assert_eq!(all("AWS::SQS::Queue")[0].1["KmsMasterKeyId"], key);
    assert_eq!(
        all(TOPIC_KIND)[0].1["KmsMasterKeyId"]["Fn::If"][1],
        yaml("{Ref: KmsKeyArn}")
    );

    let key_policy = yaml("{'Fn::If': [HasKey, {Ref: KeyPolicy}, {Ref: 'AWS::NoValue'}]}");
    for (id, function) in all(functions::KIND) {
        assert!(
            function["Policies"]
                .as_sequence()
                .unwrap()
                .contains(&key_policy),
            "{id}"
        );
    }
}

#[test]
fn logging_role_is_created_only_on_request() {
    let template = Template::built_in().unwrap();
    assert_eq!(
        template.root["Parameters"]["ApiAccessLogs"]["Default"],
        "off"
    );

    for (id, condition) in [
        ("ApiLogRole", "MakesAccessLogRole"),
        ("ApiLogAccount", "MakesAccessLogRole"),
        ("ApiLogs", "HasAccessLogs"),
    ] {
        assert_eq!(
            template.root["Resources"][id]["Condition"], condition,
            "{id}"
        );
    }
}

#[test]
fn defaults_log_and_trace_little() {
    let template = Template::built_in().unwrap();
    let default = |name: &str| {
        template.root["Parameters"][name]["Default"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (default("LogLevel"), default("Tracing")),
        ("warn".to_owned(), "PassThrough".to_owned())
    );
}

/// One invocation at a time sequences a shard, so its share of a CPU bounds the delay for devices.
#[test]
fn cpu_bound_functions_have_more_memory() {
    let memory = |id: &str| {
        let (_, function) = all(functions::KIND)
            .into_iter()
            .find(|(found, _)| found == id)
            .unwrap();
        function["MemorySize"].as_u64().unwrap()
    };
    assert!(memory("ChangelogFunction") >= 1024 && memory("PushFunction") >= 512);
}
