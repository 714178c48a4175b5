//! What the template lets each function do. The local runner asks nobody for permission; tests
//! compare this with what the functions do. What is not understood is refused, because a statement
//! that was skipped here would be a right that nobody looks at.

use std::collections::BTreeSet;
use std::fmt;

use serde_yaml_ng::Value as Yaml;

use super::{
    BUCKET_KIND, TOPIC_KIND, Template, TemplateError, functions, intrinsic, shape, short_name,
    tables,
};

/// Further ways to give a role rights, none of which the template needs.
const OTHER_KINDS: [&str; 3] = [
    "AWS::IAM::Policy",
    "AWS::IAM::RolePolicy",
    "AWS::Serverless::Connector",
];

/// A policy that functions refer to may only let them use the customer-managed key. No call of
/// theirs names it, so no right is compared.
const KEY_POLICY_KIND: &str = "AWS::IAM::ManagedPolicy";
/// The parameter that holds that key.
const KEY_PARAMETER: &str = "KmsKeyArn";

/// Where Lambda itself puts what a stream mapping gives up on, in a bucket that is the mapping's
/// destination.
const DESTINATION_FOLDER: &str = "aws/lambda/*";

/// A right: a function may, or does, this to that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The function.
    pub function: String,
    /// As IAM calls it: `dynamodb:PutItem`.
    pub action: String,
    /// Under local names: `table/resources`, `table/conflicts/index/by_status`, `bucket/media`,
    /// `bucket/media/uploads/*`, `topic/notification`. A right to list only what begins with a
    /// prefix has it behind the bucket: `bucket/media/uploads/*`.
    pub resource: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} on {}", self.function, self.action, self.resource)
    }
}

impl Template {
    /// The rights that the functions' policies give them. Those that SAM adds by itself are not
    /// among them: to write logs, to trace, to read the stream of a mapping.
    ///
    /// # Errors
    /// A function has its rights from elsewhere, or a statement is more than a list of actions
    /// allowed on resources.
    pub fn permissions(&self) -> Result<BTreeSet<Right>, TemplateError> {
        for kind in OTHER_KINDS {
            if let Some((id, _)) = self.resources(kind).next() {
                return Err(shape(
                    &format!("Resources.{id}"),
                    "in the policies of a function",
                ));
            }
        }
        for (id, resource) in self.resources(KEY_POLICY_KIND) {
            check_key_policy(&format!("Resources.{id}"), resource)?;
        }
        let mut permissions = BTreeSet::new();
        for (id, resource) in self.resources(functions::KIND) {
            let path = format!("Resources.{id}.Properties");
            let properties = resource
                .get("Properties")
                .ok_or_else(|| shape(&path, "the function's definition"))?;
            if properties.get("Role").is_some() {
                return Err(shape(
                    &format!("{path}.Role"),
                    "absent: SAM makes a role of the policies",
                ));
            }
            let function = functions::binary(id, resource);
            for (number, policy) in properties
                .get("Policies")
                .map(listed)
                .unwrap_or_default()
                .into_iter()
                .enumerate()
            {
                if self.is_key_policy(policy) {
                    continue;
                }
                let path = format!("{path}.Policies[{number}]");
                let statements = policy
                    .get("Statement")
                    .ok_or_else(|| shape(&path, "a policy written out, with statements"))?;
                for statement in listed(statements) {
                    self.allow(&path, &function, statement, &mut permissions)?;
                }
            }
        }
        Ok(permissions)
    }

    /// The rights that the stream mappings use with a function's role when they give up on records:
    /// no code of ours makes these calls.
    ///
    /// # Errors
    /// A destination that is not a bucket of the template.
    pub fn destination_permissions(&self) -> Result<BTreeSet<Right>, TemplateError> {
        let mut permissions = BTreeSet::new();
        for (id, resource, path, event) in self.events("DynamoDB") {
            let Some(failure) = event
                .get("DestinationConfig")
                .and_then(|destination| destination.get("OnFailure"))
            else {
                continue;
            };
            let path = format!("{path}.DestinationConfig.OnFailure");
            let bucket = self.arn(&path, failure.get("Destination").unwrap_or(&Yaml::Null))?;
            if !bucket.starts_with("bucket/") {
                return Err(shape(
                    &path,
                    "a bucket, which keeps the records and not only their numbers",
                ));
            }
            let function = functions::binary(id, resource);
            let folder = format!("{bucket}/{DESTINATION_FOLDER}");
            for (action, resource) in [("s3:PutObject", folder), ("s3:ListBucket", bucket)] {
                permissions.insert(Right {
                    function: function.clone(),
                    action: action.to_owned(),
                    resource,
                });
            }
        }
        Ok(permissions)
    }

    /// Whether this is a reference to a policy that was checked, or to it where there is a key.
    fn is_key_policy(&self, policy: &Yaml) -> bool {
        match intrinsic(policy) {
            Some(("If", Yaml::Sequence(of))) => {
                of.get(1).is_some_and(|then| self.is_key_policy(then))
            }
            Some(("Ref", Yaml::String(id))) => self.is_a(id, KEY_POLICY_KIND),
            _ => false,
        }
    }

    /// Adds what a statement allows.
    fn allow(
        &self,
        path: &str,
        function: &str,
        statement: &Yaml,
        permissions: &mut BTreeSet<Right>,
    ) -> Result<(), TemplateError> {
        let keys = statement
            .as_mapping()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str().unwrap_or_default());
        if keys
            .into_iter()
            .any(|key| !matches!(key, "Sid" | "Effect" | "Action" | "Resource" | "Condition"))
            || statement.get("Effect").and_then(Yaml::as_str) != Some("Allow")
        {
            return Err(shape(
                path,
                "statements of Sid, Effect: Allow, Action and Resource",
            ));
        }
        let part = |key: &str| {
            statement
                .get(key)
                .ok_or_else(|| shape(path, "statements with Action and Resource"))
        };
        for resource in listed(part("Resource")?) {
            let resource = self.arn(path, resource)?;
            for action in listed(part("Action")?) {
                let action = action
                    .as_str()
                    .ok_or_else(|| shape(path, "actions by their names"))?
                    .to_owned();
                for resource in bounded(path, &action, &resource, statement.get("Condition"))? {
                    permissions.insert(Right {
                        function: function.to_owned(),
                        action: action.clone(),
                        resource,
                    });
                }
            }
        }
        Ok(())
    }

    /// The resource that an ARN means: `!GetAtt X.Arn`, `!Sub ${X.Arn}/…`, or `!Ref` of a topic.
    fn arn(&self, path: &str, value: &Yaml) -> Result<String, TemplateError> {
        let rejected = || {
            shape(
                path,
                "resources as !GetAtt X.Arn, !Sub ${X.Arn}/… or !Ref of a topic",
            )
        };
        let (id, below) = match intrinsic(value) {
            Some(("Ref", Yaml::String(id))) if self.is_a(id, TOPIC_KIND) => (id.as_str(), ""),
            Some(("GetAtt", Yaml::String(attribute))) => {
                (attribute.strip_suffix(".Arn").ok_or_else(rejected)?, "")
            }
            Some(("Sub", Yaml::String(text))) => {
                let text = text.strip_prefix("${").ok_or_else(rejected)?;
                text.split_once(".Arn}")
                    .filter(|(_, below)| !below.contains("${"))
                    .ok_or_else(rejected)?
            }
            _ => return Err(rejected()),
        };
        let name = match id {
            table if self.is_a(table, tables::KIND) => {
                format!("table/{}", tables::local_name(table))
            }
            bucket if self.is_a(bucket, BUCKET_KIND) => {
                format!("bucket/{}", short_name(bucket, "Bucket"))
            }
            topic if self.is_a(topic, TOPIC_KIND) => {
                format!("topic/{}", short_name(topic, "Topic"))
            }
            _ => return Err(rejected()),
        };
        Ok(name + below)
    }

    fn is_a(&self, id: &str, kind: &str) -> bool {
        self.resources(kind).any(|(found, _)| found == id)
    }
}

/// The resources that a statement's condition leaves of one. The only condition that is understood
/// bounds a listing to prefixes.
fn bounded(
    path: &str,
    action: &str,
    resource: &str,
    condition: Option<&Yaml>,
) -> Result<Vec<String>, TemplateError> {
    let Some(condition) = condition else {
        return Ok(vec![resource.to_owned()]);
    };
    let rejected = || {
        shape(
            path,
            "no condition but StringLike s3:prefix, of s3:ListBucket on a bucket",
        )
    };
    let only = |value: &Yaml, key: &str| {
        value
            .as_mapping()
            .filter(|map| map.len() == 1)?
            .get(key)
            .cloned()
    };
    let prefixes = only(condition, "StringLike")
        .and_then(|like| only(&like, "s3:prefix"))
        .ok_or_else(rejected)?;
    if action != "s3:ListBucket" || !resource.starts_with("bucket/") {
        return Err(rejected());
    }
    let prefix = |prefix: &Yaml| {
        let folder = prefix
            .as_str()
            .filter(|prefix| prefix.ends_with("/*") && prefix.len() > "/*".len())
            .ok_or_else(rejected)?;
        Ok(format!("{resource}/{folder}"))
    };
    listed(&prefixes).into_iter().map(prefix).collect()
}

/// A policy of its own may allow nothing but the use of the customer-managed key through the
/// services that keep data.
fn check_key_policy(path: &str, resource: &Yaml) -> Result<(), TemplateError> {
    let rejected = || {
        shape(
            path,
            "a policy that lets the functions use KmsKeyArn through services, and nothing else",
        )
    };
    let statements = resource
        .get("Properties")
        .and_then(|it| it.get("PolicyDocument")?.get("Statement"))
        .ok_or_else(rejected)?;
    for statement in listed(statements) {
        let is_key = |value: &Yaml| {
            intrinsic(value) == Some(("Ref", &Yaml::String(KEY_PARAMETER.to_owned())))
        };
        let uses_key = |action: &Yaml| {
            matches!(
                action.as_str(),
                Some("kms:Decrypt" | "kms:DescribeKey" | "kms:GenerateDataKey")
            )
        };
        let is_through_services = statement
            .get("Condition")
            .and_then(|it| it.get("StringEquals")?.get("kms:ViaService"))
            .is_some();
        let is_fine = statement.get("Effect").and_then(Yaml::as_str) == Some("Allow")
            && statement.get("Resource").is_some_and(is_key)
            && statement
                .get("Action")
                .is_some_and(|actions| listed(actions).into_iter().all(uses_key))
            && is_through_services;
        if !is_fine {
            return Err(rejected());
        }
    }
    Ok(())
}

/// What CloudFormation takes as one or as a list of them.
fn listed(value: &Yaml) -> Vec<&Yaml> {
    value
        .as_sequence()
        .map_or_else(|| vec![value], |values| values.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(function: &str) -> Template {
        let resources = "
  AThingsTable: { Type: 'AWS::DynamoDB::Table' }
  MediaBucket: { Type: 'AWS::S3::Bucket' }
  NewsTopic: { Type: 'AWS::SNS::Topic' }
  PushFunction:
    Type: AWS::Serverless::Function
    Properties: ";
        Template::parse(&format!("Resources:{resources}{function}")).unwrap()
    }

    fn shown(permissions: &BTreeSet<Right>) -> Vec<String> {
        permissions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_statement_allows_each_action_on_each_resource() {
        let template = template(
            "{ Policies: [
              { Statement: [{ Effect: Allow, Action: [a:One, a:Two], Resource: !GetAtt AThingsTable.Arn }] },
              { Statement: { Effect: Allow, Action: a:Three, Resource: [!Sub '${AThingsTable.Arn}/index/x', !Ref NewsTopic,
                !Sub '${MediaBucket.Arn}/uploads/*'] } } ] }",
        );
        let permissions = template.permissions().unwrap();
        let expected = [
            "push: a:One on table/a_things",
            "push: a:Three on bucket/media/uploads/*",
            "push: a:Three on table/a_things/index/x",
            "push: a:Three on topic/news",
            "push: a:Two on table/a_things",
        ];
        assert_eq!(shown(&permissions), expected);
    }

    #[test]
    fn prefix_condition_bounds_a_listing() {
        let listing = |condition: &str| {
            let statement = format!(
                "Effect: Allow, Action: s3:ListBucket, Resource: !GetAtt MediaBucket.Arn, Condition: {condition}"
            );
            template(&format!(
                "{{ Policies: [{{ Statement: [{{ {statement} }}] }}] }}"
            ))
            .permissions()
        };
        let permissions =
            listing("{ StringLike: { 's3:prefix': [incoming/*, uploads/*] } }").unwrap();
        let expected = [
            "push: s3:ListBucket on bucket/media/incoming/*",
            "push: s3:ListBucket on bucket/media/uploads/*",
        ];
        assert_eq!(shown(&permissions), expected);
        assert_eq!(
            shown(&listing("{ StringLike: { 's3:prefix': uploads/* } }").unwrap()),
            expected[1..]
        );
        for condition in [
            "{}",
            "{ StringLike: { 's3:prefix': '*' } }",
            "{ StringLike: { 's3:prefix': '/*' } }",
            "{ StringLike: { 's3:prefix': uploads } }",
            "{ StringNotLike: { 's3:prefix': uploads/* } }",
            "{ StringLike: { 's3:delimiter': uploads/* } }",
            "{ StringLike: { 's3:prefix': uploads/* }, Bool: { 'aws:SecureTransport': true } }",
        ] {
            assert!(listing(condition).is_err(), "{condition}");
        }
    }

    #[test]
    fn separate_policy_may_only_use_the_key() {
        let policy = |statement: &str| {
            let extra = format!(
                "\n  KeyPolicy: {{ Type: 'AWS::IAM::ManagedPolicy', Properties: {{ PolicyDocument: {{ Statement: [{statement}] }} }} }}"
            );
            template(&format!(
                "{{ Policies: [!If [HasKey, !Ref KeyPolicy, !Ref AWS::NoValue]] }}{extra}"
            ))
            .permissions()
        };
        let through = "Condition: { StringEquals: { 'kms:ViaService': [x] } }";
        let sound = format!(
            "{{ Effect: Allow, Action: [kms:Decrypt], Resource: !Ref KmsKeyArn, {through} }}"
        );
        assert!(policy(&sound).unwrap().is_empty());
        for statement in [
            "{ Effect: Allow, Action: kms:Decrypt, Resource: !Ref KmsKeyArn }".to_owned(),
            sound.replace("kms:Decrypt", "kms:*"),
            sound.replace("kms:Decrypt", "dynamodb:Scan"),
            sound.replace("!Ref KmsKeyArn", "'*'"),
        ] {
            assert!(policy(&statement).is_err(), "{statement}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let statement =
            |statement: &str| format!("{{ Policies: [{{ Statement: [{{ {statement} }}] }}] }}");
        for function in [
            "{ Policies: [AmazonDynamoDBFullAccess] }",
            "{ Policies: [!Ref PolicyOfTheCaller] }",
            "{ Policies: [{ DynamoDBCrudPolicy: { TableName: !Ref AThingsTable } }] }",
            "{ Role: 'arn:aws:iam::123456789012:role/all' }",
            &statement("Effect: Deny, Action: a:One, Resource: !GetAtt AThingsTable.Arn"),
            &statement("Effect: Allow, NotAction: a:One, Resource: !GetAtt AThingsTable.Arn"),
            &statement("Effect: Allow, Action: a:One"),
            &statement("Effect: Allow, Action: a:One, Resource: '*'"),
            &statement("Effect: Allow, Action: a:One, Resource: !GetAtt AThingsTable.StreamArn"),
            &statement("Effect: Allow, Action: a:One, Resource: !GetAtt Another.Arn"),
            &statement(
                "Effect: Allow, Action: a:One, Resource: !Sub 'arn:aws:s3:::${MediaBucket}/*'",
            ),
            &statement(
                "Effect: Allow, Action: a:One, Resource: !GetAtt AThingsTable.Arn, Condition: {}",
            ),
            "{ Policies: [] }\n  Extra: { Type: 'AWS::IAM::Policy' }",
        ] {
            assert!(template(function).permissions().is_err(), "{function}");
        }
    }

    #[test]
    fn a_mapping_that_gives_up_puts_records_into_its_bucket() {
        let mapping = |of: &str| {
            let event = format!(
                "{{ DestinationConfig: {{ OnFailure: {{ Destination: !GetAtt {of}.Arn, Type: S3 }} }} }}"
            );
            template(&format!(
                "{{ Events: {{ Stream: {{ Type: DynamoDB, Properties: {event} }} }} }}"
            ))
            .destination_permissions()
        };
        let expected = [
            "push: s3:ListBucket on bucket/media",
            "push: s3:PutObject on bucket/media/aws/lambda/*",
        ];
        assert_eq!(shown(&mapping("MediaBucket").unwrap()), expected);
        assert!(mapping("AThingsTable").is_err());
    }
}
