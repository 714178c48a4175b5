//! The permissions that the template gives each function. The local runner does not check
//! permissions; tests compare them with the calls that the functions make. A statement that cannot
//! be interpreted is rejected, because a skipped statement would be a permission that no test
//! checks.

use std::collections::BTreeSet;
use std::fmt;

use serde_yaml_ng::Value as Yaml;

use super::{
    BUCKET_KIND, TOPIC_KIND, Template, TemplateError, functions, intrinsic, shape, short_name,
    tables,
};

/// Other resource types that give a role permissions. The template needs none of them.
const OTHER_KINDS: [&str; 3] = [
    "AWS::IAM::Policy",
    "AWS::IAM::RolePolicy",
    "AWS::Serverless::Connector",
];

/// A managed policy that functions refer to may only allow the use of the customer-managed key. No
/// call names the key, so this permission is not compared.
const KEY_POLICY_KIND: &str = "AWS::IAM::ManagedPolicy";
/// The parameter with the ARN of that key.
const KEY_PARAMETER: &str = "KmsKeyArn";

/// Folder in which Lambda itself stores the records that a stream mapping gives up on, in the
/// bucket that is the mapping's destination.
const DESTINATION_FOLDER: &str = "aws/lambda/*";

/// An action on a resource that a function may perform, or performs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Name of the function.
    pub function: String,
    /// Name of the IAM action, for example `dynamodb:PutItem`.
    pub action: String,
    /// Resource under its local name: `table/resources`, `table/conflicts/index/by_status`,
    /// `bucket/media`, `bucket/media/uploads/*`, `topic/notification`. A permission to list only a
    /// prefix has the prefix after the bucket: `bucket/media/uploads/*`.
    pub resource: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} on {}", self.function, self.action, self.resource)
    }
}

impl Template {
    /// Returns the permissions that the functions' policies give them. They do not include those
    /// that SAM adds by itself: to write logs, to trace, and to read the stream of a mapping.
    ///
    /// # Errors
    /// Returns an error if a function has permissions from another source, or a statement is more
    /// than a list of actions allowed on resources.
    pub fn permissions(&self) -> Result<BTreeSet<Permission>, TemplateError> {
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

    /// Returns the permissions that the stream mappings use with a function's role when they give
    /// up on records. Lambda makes these calls, not the code of the functions.
    ///
    /// # Errors
    /// Returns an error if a destination is not a bucket of the template.
    pub fn destination_permissions(&self) -> Result<BTreeSet<Permission>, TemplateError> {
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
                permissions.insert(Permission {
                    function: function.clone(),
                    action: action.to_owned(),
                    resource,
                });
            }
        }
        Ok(permissions)
    }

    /// Returns whether the policy is a reference to a key policy, or a condition that yields one.
    fn is_key_policy(&self, policy: &Yaml) -> bool {
        match intrinsic(policy) {
            Some(("If", Yaml::Sequence(of))) => {
                of.get(1).is_some_and(|then| self.is_key_policy(then))
            }
            Some(("Ref", Yaml::String(id))) => self.is_a(id, KEY_POLICY_KIND),
            _ => false,
        }
    }

    /// Adds the permissions that a statement allows.
    fn allow(
        &self,
        path: &str,
        function: &str,
        statement: &Yaml,
        permissions: &mut BTreeSet<Permission>,
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
                    permissions.insert(Permission {
                        function: function.to_owned(),
                        action: action.clone(),
                        resource,
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns the local name of the resource that an ARN identifies: `!GetAtt X.Arn`, `!Sub
    /// ${X.Arn}/…`, or `!Ref` of a topic.
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

/// Returns the resources to which a statement's condition restricts `resource`. The only supported
/// condition restricts a listing to prefixes.
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

/// Checks that a managed policy allows only the use of the customer-managed key through the
/// services that store data.
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

/// Returns the elements of a value for which CloudFormation accepts one element or a list.
fn listed(value: &Yaml) -> Vec<&Yaml> {
    value
        .as_sequence()
        .map_or_else(|| vec![value], |values| values.iter().collect())
}

#[cfg(test)]
mod tests;
