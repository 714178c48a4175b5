//! Reads from `template.yaml`, the deployment, what one machine needs: tables, environments, routes
//! and stream mappings. It evaluates the few intrinsic functions that these parts use and rejects
//! the others by name. No content of the template is repeated in code.

pub mod functions;
pub mod policies;
pub mod tables;

use std::{collections::BTreeMap, sync::Arc};

use serde_yaml_ng::Value as Yaml;

/// Resource types besides tables that a reference may name, each with the suffix of its logical
/// ids.
const NAMED: [(&str, &str); 2] = [(BUCKET_KIND, "Bucket"), (TOPIC_KIND, "Topic")];
const BUCKET_KIND: &str = "AWS::S3::Bucket";
const TOPIC_KIND: &str = "AWS::SNS::Topic";

/// Name of the stack on this machine.
const STACK_NAME: &str = "tidemark";

/// The template that is compiled into this build.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Reasons why the template cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text is not valid YAML.
    #[error("template.yaml is not valid YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A value is missing or has another shape.
    #[error("template.yaml: {path} should be {expected}")]
    Shape {
        /// Path of the value, for example `Resources.PushFunction.Properties`.
        path: String,
        /// Shape that the runner expects there.
        expected: &'static str,
    },
    /// The template uses an intrinsic function that the local runner does not evaluate.
    #[error("template.yaml: {path} uses {function}, which the local runner does not evaluate")]
    Intrinsic {
        /// Path of the value.
        path: String,
        /// Name of the intrinsic function, with its argument.
        function: String,
    },
    /// A parameter has neither a default nor a value from the runner.
    #[error("template.yaml: parameter {0} has no default, and the local runner gives it no value")]
    Parameter(String),
}

/// A parsed template. Clones share its content.
#[derive(Debug, Clone)]
pub struct Template {
    root: Arc<Yaml>,
}

impl Template {
    /// Returns the template that is compiled into this build.
    ///
    /// # Errors
    /// Returns an error if the template is not YAML, which a test excludes.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::parse(TEMPLATE)
    }

    /// Parses a template from its YAML text.
    ///
    /// # Errors
    /// Returns an error if the text is not YAML.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            root: Arc::new(long_form(serde_yaml_ng::from_str(text)?)),
        })
    }

    /// Returns the template with the environment variable set to `value` for every function.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        let root = Arc::make_mut(&mut self.root);
        let at = variables(root, &["Globals", "Function"]);
        at.into_iter()
            .for_each(|variables| drop(variables.insert(name.into(), value.into())));

        // A function's own variable takes precedence over the global one, so it is removed.
        let resources = root.get_mut("Resources").and_then(Yaml::as_mapping_mut);
        for resource in resources
            .into_iter()
            .flat_map(|resources| resources.values_mut())
        {
            variables(resource, &["Properties"])
                .into_iter()
                .for_each(|own| drop(own.remove(name)));
        }

        self
    }

    /// Returns the resources of a type by logical id, in the template's order.
    pub(crate) fn resources<'a>(
        &'a self,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Yaml)> {
        let resources = self.root.get("Resources").and_then(Yaml::as_mapping);

        resources
            .into_iter()
            .flatten()
            .filter_map(move |(id, resource)| {
                let is_kind = resource.get("Type").and_then(Yaml::as_str) == Some(kind);
                if is_kind {
                    Some((id.as_str()?, resource))
                } else {
                    None
                }
            })
    }

    /// Returns a value as text, with `!Ref` and `!If` evaluated: a table, bucket or topic becomes
    /// its local name, a parameter its override or its default, and the stack `tidemark`.
    pub(crate) fn text(
        &self,
        path: &str,
        value: &Yaml,
        parameters: &BTreeMap<String, String>,
    ) -> Result<String, TemplateError> {
        if let Some(scalar) = scalar(value) {
            return Ok(scalar);
        }

        match intrinsic(value) {
            Some(("Ref", Yaml::String(id)))
                if let Some(referenced) = self.reference(id, parameters) =>
            {
                referenced
            }
            Some(("If", Yaml::Sequence(of)))
                if let [Yaml::String(condition), then, otherwise] = of.as_slice() =>
            {
                let chosen = if self.condition(condition, parameters)? {
                    then
                } else {
                    otherwise
                };
                self.text(path, chosen, parameters)
            }
            Some((name, of)) => Err(TemplateError::Intrinsic {
                path: path.to_owned(),
                function: format!("!{name} {}", of.as_str().unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            }),
            None => Err(shape(path, "text, a number or a reference")),
        }
    }

    /// Returns the text of a reference; `None` if `id` is not a table, a bucket, a topic, the name
    /// of the stack or a parameter.
    fn reference(
        &self,
        id: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Option<Result<String, TemplateError>> {
        let kind = self.root["Resources"][id]["Type"].as_str();
        if kind == Some(tables::KIND) {
            return Some(Ok(tables::local_name(id)));
        }
        if let Some((_, ending)) = NAMED.iter().find(|(named, _)| kind == Some(*named)) {
            return Some(Ok(short_name(id, ending)));
        }
        if id == "AWS::StackName" {
            return Some(Ok(STACK_NAME.to_owned()));
        }

        let parameter = self.root["Parameters"].get(id)?;
        let default = || parameter.get("Default").and_then(scalar);
        Some(
            parameters
                .get(id)
                .cloned()
                .or_else(default)
                .ok_or_else(|| TemplateError::Parameter(id.to_owned())),
        )
    }

    /// Evaluates a condition of the template: the equality of two texts, or its negation.
    fn condition(
        &self,
        name: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<bool, TemplateError> {
        let path = format!("Conditions.{name}");
        let mut condition = &self.root["Conditions"][name];
        let mut is_negated = false;
        while let Some(("Not", Yaml::Sequence(of))) = intrinsic(condition)
            && let [negated] = of.as_slice()
        {
            (condition, is_negated) = (negated, !is_negated);
        }

        match intrinsic(condition) {
            Some(("Equals", Yaml::Sequence(of))) if let [one, other] = of.as_slice() => {
                let is_same =
                    self.text(&path, one, parameters)? == self.text(&path, other, parameters)?;
                Ok(is_same != is_negated)
            }
            _ => Err(shape(&path, "!Equals, or !Not of it")),
        }
    }

    /// Returns whether the template declares the parameter.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.root["Parameters"].get(name).is_some()
    }

    pub(crate) fn globals(&self) -> Option<&Yaml> {
        self.root.get("Globals")?.get("Function")
    }
}

/// Returns the environment variables of the element at a path.
fn variables<'a>(yaml: &'a mut Yaml, path: &[&str]) -> Option<&'a mut serde_yaml_ng::Mapping> {
    let at = path.iter().chain(&["Environment", "Variables"]);
    at.copied()
        .try_fold(yaml, |yaml, key| yaml.get_mut(key))?
        .as_mapping_mut()
}

/// Converts intrinsic functions to their long form, which all other code expects: `!Ref X` becomes
/// `{Ref: X}`, and `!Sub X` becomes `{"Fn::Sub": X}`.
fn long_form(value: Yaml) -> Yaml {
    match value {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let name = if name == "Ref" {
                name.to_owned()
            } else {
                format!("Fn::{name}")
            };

            Yaml::Mapping(
                [(Yaml::String(name), long_form(tagged.value))]
                    .into_iter()
                    .collect(),
            )
        }
        Yaml::Mapping(map) => Yaml::Mapping(
            map.into_iter()
                .map(|(key, inner)| (key, long_form(inner)))
                .collect(),
        ),
        Yaml::Sequence(items) => Yaml::Sequence(items.into_iter().map(long_form).collect()),
        scalar => scalar,
    }
}

/// Returns the name and the argument of a value's intrinsic function, for example `("Ref", "X")`.
pub(crate) fn intrinsic(value: &Yaml) -> Option<(&str, &Yaml)> {
    let map = value.as_mapping().filter(|map| map.len() == 1)?;
    let (name, of) = map.iter().next()?;
    let name = name.as_str()?;
    (name == "Ref" || name.starts_with("Fn::")).then(|| (name.trim_start_matches("Fn::"), of))
}

/// Converts a YAML value to JSON. Fails with `Intrinsic` if the value contains an intrinsic
/// function.
pub(crate) fn plain_json(path: &str, value: &Yaml) -> Result<serde_json::Value, TemplateError> {
    if let Some((name, _)) = intrinsic(value) {
        return Err(TemplateError::Intrinsic {
            path: path.to_owned(),
            function: format!("!{name}"),
        });
    }

    match value {
        Yaml::Mapping(map) => {
            let mut object = serde_json::Map::new();
            for (key, inner) in map {
                let key = key
                    .as_str()
                    .ok_or_else(|| shape(path, "a map with text keys"))?;
                object.insert(key.to_owned(), plain_json(&format!("{path}.{key}"), inner)?);
            }
            Ok(object.into())
        }
        Yaml::Sequence(items) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|item| plain_json(path, item)).collect();
            Ok(items?.into())
        }
        scalar => Ok(serde_json::to_value(scalar).unwrap_or_default()),
    }
}

/// Returns a logical id in lower case, without the suffix of its kind: `MediaBucket` becomes
/// `media`.
fn short_name(id: &str, kind: &str) -> String {
    id.strip_suffix(kind).unwrap_or(id).to_ascii_lowercase()
}

pub(crate) fn shape(path: &str, expected: &'static str) -> TemplateError {
    TemplateError::Shape {
        path: path.to_owned(),
        expected,
    }
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod alarm_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod tests;
