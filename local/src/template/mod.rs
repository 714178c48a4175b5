//! Reads `template.yaml`, the deployment, as far as one machine needs it: tables, environments,
//! routes, the stream mapping. It understands the few intrinsic functions these parts use and
//! refuses the others by name; it never keeps a second copy of anything the template says.

pub mod functions;
pub mod policies;
pub mod tables;

use std::{collections::BTreeMap, sync::Arc};

use serde_yaml_ng::Value as Yaml;

/// What a reference names besides tables and parameters: the resource's type, and what its logical
/// id ends in.
const NAMED: [(&str, &str); 2] = [(BUCKET_KIND, "Bucket"), (TOPIC_KIND, "Topic")];
const BUCKET_KIND: &str = "AWS::S3::Bucket";
const TOPIC_KIND: &str = "AWS::SNS::Topic";

/// What the deployment on this machine is called.
const STACK_NAME: &str = "tidemark";

/// The template of this build.
const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Where the template does not say what the local runner needs.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not YAML.
    #[error("template.yaml is not valid YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// Something is missing, or has another shape.
    #[error("template.yaml: {path} should be {expected}")]
    Shape {
        /// Where, as `Resources.PushFunction.Properties`.
        path: String,
        /// What the runner reads there.
        expected: &'static str,
    },
    /// An intrinsic function the local runner does not evaluate.
    #[error("template.yaml: {path} uses {function}, which the local runner does not evaluate")]
    Intrinsic {
        /// Where.
        path: String,
        /// Which, with what it refers to.
        function: String,
    },
    /// A parameter without a value.
    #[error("template.yaml: parameter {0} has no default, and the local runner gives it no value")]
    Parameter(String),
}

/// A parsed template. A clone costs nothing.
#[derive(Debug, Clone)]
pub struct Template {
    root: Arc<Yaml>,
}

impl Template {
    /// The template this build was made with.
    ///
    /// # Errors
    /// It is not YAML, which a test rules out.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::parse(TEMPLATE)
    }

    /// Parses a template.
    ///
    /// # Errors
    /// The text is not YAML.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            root: Arc::new(long_form(serde_yaml_ng::from_str(text)?)),
        })
    }

    /// The template with one more environment variable for every function, or another value of it.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        let root = Arc::make_mut(&mut self.root);
        let at = variables(root, &["Globals", "Function"]);
        at.into_iter()
            .for_each(|variables| drop(variables.insert(name.into(), value.into())));
        // A function's own variables win over those of all.
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

    /// The resources of a type, by logical id, in the template's order.
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

    /// A value as text, `!Ref` evaluated: a table, bucket or topic is its local name, a parameter
    /// its override or its default, the stack `tidemark`.
    pub(crate) fn text(
        &self,
        path: &str,
        value: &Yaml,
        parameters: &BTreeMap<String, String>,
    ) -> Result<String, TemplateError> {
        if let Some(scalar) = scalar(value) {
            return Ok(scalar);
        }
        let is = |kind: &str, id: &str| self.root["Resources"][id]["Type"].as_str() == Some(kind);
        match intrinsic(value) {
            Some(("Ref", Yaml::String(id))) if is(tables::KIND, id) => Ok(tables::local_name(id)),
            Some(("Ref", Yaml::String(id)))
                if let Some((_, ending)) = NAMED.iter().find(|(kind, _)| is(kind, id)) =>
            {
                Ok(short_name(id, ending))
            }
            Some(("Ref", Yaml::String(id))) if id == "AWS::StackName" => Ok(STACK_NAME.to_owned()),
            Some(("Ref", Yaml::String(id)))
                if self.root["Parameters"].get(id.as_str()).is_some() =>
            {
                let default = || {
                    self.root["Parameters"][id.as_str()]
                        .get("Default")
                        .and_then(scalar)
                };
                parameters
                    .get(id)
                    .cloned()
                    .or_else(default)
                    .ok_or_else(|| TemplateError::Parameter(id.clone()))
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

    /// Evaluates a condition of the template: two texts that are the same, or the negation of that.
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

    /// Whether the template declares the parameter.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        self.root["Parameters"].get(name).is_some()
    }

    pub(crate) fn globals(&self) -> Option<&Yaml> {
        self.root.get("Globals")?.get("Function")
    }
}

/// The environment variables of what stands at a path.
fn variables<'a>(yaml: &'a mut Yaml, path: &[&str]) -> Option<&'a mut serde_yaml_ng::Mapping> {
    let at = path.iter().chain(&["Environment", "Variables"]);
    at.copied()
        .try_fold(yaml, |yaml, key| yaml.get_mut(key))?
        .as_mapping_mut()
}

/// CloudFormation has two spellings for an intrinsic function; everything behind this one sees the
/// long one: `!Ref X` becomes `{Ref: X}`, `!Sub X` becomes `{"Fn::Sub": X}`.
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

/// The intrinsic function that a value is, and what it is applied to: `("Ref", "X")`.
pub(crate) fn intrinsic(value: &Yaml) -> Option<(&str, &Yaml)> {
    let map = value.as_mapping().filter(|map| map.len() == 1)?;
    let (name, of) = map.iter().next()?;
    let name = name.as_str()?;
    (name == "Ref" || name.starts_with("Fn::")).then(|| (name.trim_start_matches("Fn::"), of))
}

/// A YAML value as JSON, for values that must not hold intrinsic functions.
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

/// A logical id without the word for what it is: `MediaBucket` is `media`.
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
