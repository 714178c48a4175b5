//! The functions of the template: their environments, the routes to them, and their stream
//! mappings. A function is identified by the name of its binary (`push`), as in
//! `tidemark_core::wire::routes`.

use std::collections::BTreeMap;

use serde_yaml_ng::Value as Yaml;

use super::{Template, TemplateError, intrinsic, shape, tables};

pub(super) const KIND: &str = "AWS::Serverless::Function";

/// A route of the API as the template declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiRoute {
    /// HTTP method in upper case.
    pub method: String,
    /// Path with placeholders, for example `{name}`.
    pub path: String,
    /// Name of the binary that serves the route.
    pub function: String,
}

/// An event source mapping from a table's stream to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMapping {
    /// Local name of the table.
    pub table: String,
    /// Name of the binary that receives the batches.
    pub function: String,
    /// Largest number of records in a batch.
    pub batch_records_max: usize,
    /// Seconds for which Lambda gathers a batch. The local event source mapping does not wait,
    /// because that would only slow down a local run.
    pub batching_window_s: u64,
    /// Whether the function reports failed records in `batchItemFailures`. Otherwise its response
    /// is ignored.
    pub reports_item_failures: bool,
    /// Position at which a new mapping begins: `TRIM_HORIZON` or `LATEST`.
    pub starting_position: String,
    /// JSON patterns of the records that Lambda delivers; without patterns it delivers all records.
    /// The local event source mapping does not filter.
    pub filters: Vec<String>,
}

impl Template {
    /// Returns the environment of a function: the global variables and its own variables, which
    /// take precedence, with overridden parameters.
    ///
    /// # Errors
    /// Returns an error if the function does not exist, a parameter has no value, or a variable
    /// uses an intrinsic function other than `!Ref` and `!If`.
    pub fn environment(
        &self,
        function: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, TemplateError> {
        let (id, own) = self.function(function)?;
        let sources = [
            ("Globals.Function".to_owned(), self.globals()),
            (format!("Resources.{id}.Properties"), own.get("Properties")),
        ];

        let mut environment = BTreeMap::new();
        for (path, source) in sources {
            let variables =
                source.and_then(|source| source.get("Environment")?.get("Variables")?.as_mapping());
            for (name, value) in variables.into_iter().flatten() {
                let name = name
                    .as_str()
                    .ok_or_else(|| shape(&path, "an environment with text names"))?;
                let path = format!("{path}.Environment.Variables.{name}");
                environment.insert(name.to_owned(), self.text(&path, value, parameters)?);
            }
        }
        Ok(environment)
    }

    /// Returns the timeout of a function in seconds: its own, or the global one.
    ///
    /// # Errors
    /// Returns an error if the function does not exist, or the timeout is not a whole number of
    /// seconds.
    pub fn timeout_s(&self, function: &str) -> Result<u64, TemplateError> {
        let (id, own) = self.function(function)?;
        let timeout = |properties: Option<&Yaml>| {
            properties.and_then(|properties| properties.get("Timeout")?.as_u64())
        };
        let found = timeout(own.get("Properties")).or_else(|| timeout(self.globals()));
        found.ok_or_else(|| {
            shape(
                &format!("Resources.{id}.Properties.Timeout"),
                "a number of seconds",
            )
        })
    }

    /// Returns the functions by their binaries' names, in the template's order.
    pub fn functions(&self) -> impl Iterator<Item = String> {
        self.resources(KIND)
            .map(|(id, resource)| binary(id, resource))
    }

    /// Returns the logical id and the definition of a function.
    fn function(&self, function: &str) -> Result<(&str, &Yaml), TemplateError> {
        let found = self
            .resources(KIND)
            .find(|(id, resource)| binary(id, resource) == function);
        found.ok_or_else(|| {
            shape(
                &format!("Resources.*.Metadata.BuildProperties.Binary: {function}"),
                "a function",
            )
        })
    }

    /// Returns the routes of the API in sorted order.
    ///
    /// # Errors
    /// Returns an error if an API event lacks a path or a method.
    pub fn routes(&self) -> Result<Vec<ApiRoute>, TemplateError> {
        let mut routes = Vec::new();
        for (id, resource, path, event) in self.events("Api") {
            let text = |key| {
                event
                    .get(key)
                    .and_then(Yaml::as_str)
                    .ok_or_else(|| shape(&path, "a path and a method"))
            };

            let (method, path) = (
                text("Method")?.to_ascii_uppercase(),
                text("Path")?.to_owned(),
            );
            routes.push(ApiRoute {
                method,
                path,
                function: binary(id, resource),
            });
        }

        routes.sort();
        Ok(routes)
    }

    /// Returns the mappings from table streams to functions.
    ///
    /// # Errors
    /// Returns an error if a mapping's stream is not `!GetAtt <table>.StreamArn`, or its starting
    /// position is missing.
    pub fn stream_mappings(&self) -> Result<Vec<StreamMapping>, TemplateError> {
        self.events("DynamoDB")
            .map(|(id, resource, path, event)| mapping(binary(id, resource), &path, event))
            .collect()
    }

    /// Returns the events of a type: the function's id, its definition, the path of the event, and
    /// the event's properties.
    pub(super) fn events<'a>(
        &'a self,
        kind: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Yaml, String, &'a Yaml)> {
        self.resources(KIND).flat_map(move |(id, resource)| {
            let events = resource
                .get("Properties")
                .and_then(|properties| properties.get("Events")?.as_mapping());

            events
                .into_iter()
                .flatten()
                .filter_map(move |(name, event)| {
                    let path = format!("Resources.{id}.Properties.Events.{}", name.as_str()?);
                    if event.get("Type")?.as_str()? == kind {
                        Some((id, resource, path, event.get("Properties")?))
                    } else {
                        None
                    }
                })
        })
    }
}

/// Returns the name of a function's binary, or a name derived from its logical id if it names none.
pub(super) fn binary(id: &str, resource: &Yaml) -> String {
    let named = || {
        resource
            .get("Metadata")?
            .get("BuildProperties")?
            .get("Binary")?
            .as_str()
    };

    named().map_or_else(
        || {
            id.strip_suffix("Function")
                .unwrap_or(id)
                .to_ascii_lowercase()
        },
        str::to_owned,
    )
}

fn mapping(function: String, path: &str, event: &Yaml) -> Result<StreamMapping, TemplateError> {
    let stream = event.get("Stream").and_then(intrinsic);
    let table = match stream {
        Some(("GetAtt", Yaml::String(of))) => of.strip_suffix(".StreamArn").map(tables::local_name),
        Some(("GetAtt", Yaml::Sequence(of))) => {
            of.first().and_then(Yaml::as_str).map(tables::local_name)
        }
        _ => None,
    };

    let number = |key| event.get(key).and_then(Yaml::as_u64);
    let filters = event
        .get("FilterCriteria")
        .and_then(|criteria| criteria.get("Filters")?.as_sequence());
    let types = event
        .get("FunctionResponseTypes")
        .and_then(Yaml::as_sequence);
    let position = event.get("StartingPosition").and_then(Yaml::as_str);

    Ok(StreamMapping {
        table: table
            .ok_or_else(|| shape(&format!("{path}.Stream"), "!GetAtt <table>.StreamArn"))?,
        function,
        // Lambda's default batch size.
        batch_records_max: usize::try_from(number("BatchSize").unwrap_or(100))
            .unwrap_or(100)
            .clamp(1, 1000),
        batching_window_s: number("MaximumBatchingWindowInSeconds").unwrap_or(0),
        reports_item_failures: types.is_some_and(|types| {
            types
                .iter()
                .any(|kind| kind.as_str() == Some("ReportBatchItemFailures"))
        }),
        starting_position: position
            .ok_or_else(|| shape(&format!("{path}.StartingPosition"), "a position"))?
            .to_owned(),
        filters: filters
            .into_iter()
            .flatten()
            .filter_map(|filter| Some(filter.get("Pattern")?.as_str()?.to_owned()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use tidemark_core::wire::routes::{CONSOLE_ROUTES, ROUTES};

    use super::*;

    const SMALL: &str = "
Parameters: { Issuer: { Type: String }, Days: { Type: Number, Default: 30 } }
Globals: { Function: { Environment: { Variables: { DAYS: !Ref Days, TABLE: { Ref: AThingsTable }, WHO: all } } } }
Resources:
  AThingsTable: { Type: 'AWS::DynamoDB::Table', Properties: {} }
  PushFunction:
    Type: AWS::Serverless::Function
    Properties: { Environment: { Variables: { ISSUER: !Ref Issuer, WHO: push } } }
  OddFunction:
    Type: AWS::Serverless::Function
    Properties: { Environment: { Variables: { ARN: !Sub 'x-${AWS::Region}' } } }
";

    #[test]
    fn environment_merges_globals_and_own_variables() {
        let parameters = BTreeMap::from([("Issuer".to_owned(), "me".to_owned())]);
        let environment = Template::parse(SMALL)
            .unwrap()
            .environment("push", &parameters)
            .unwrap();

        let expected = [
            ("DAYS", "30"),
            ("ISSUER", "me"),
            ("TABLE", "a_things"),
            ("WHO", "push"),
        ];
        assert!(
            environment
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(expected)
        );
    }

    #[test]
    fn parameter_without_value_is_named() {
        let error = Template::parse(SMALL)
            .unwrap()
            .environment("push", &BTreeMap::new())
            .unwrap_err();
        assert!(error.to_string().contains("parameter Issuer"), "{error}");
    }

    #[test]
    fn unsupported_intrinsic_function_is_named() {
        let error = Template::parse(SMALL)
            .unwrap()
            .environment("odd", &BTreeMap::new())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("Variables.ARN uses !Sub x-${AWS::Region}"),
            "{error}"
        );
    }

    #[test]
    fn template_routes_equal_served_routes() {
        let mut served: Vec<_> = ROUTES
            .iter()
            .flat_map(|r| [r.method, "OPTIONS"].map(|method| (method, r)))
            .chain(CONSOLE_ROUTES.iter().map(|r| (r.method, r)))
            .map(|(method, r)| ApiRoute {
                method: method.into(),
                path: r.path.into(),
                function: r.function.into(),
            })
            .collect();
        served.sort();
        served.dedup();
        assert_eq!(Template::built_in().unwrap().routes().unwrap(), served);
    }

    /// `Cors` must be absent: with every media type declared as binary, the preflight that SAM
    /// generates for it fails on AWS.
    #[test]
    fn gateway_error_responses_have_headers() {
        let template = Template::built_in().unwrap();
        let (_, api) = template.resources("AWS::Serverless::Api").next().unwrap();
        assert!(api["Properties"].get("Cors").is_none());

        for kind in ["DEFAULT_4XX", "DEFAULT_5XX"] {
            let response = &api["Properties"]["GatewayResponses"][kind];
            let headers = &response["ResponseParameters"]["Headers"];
            assert_eq!(headers["cache-control"], "'no-store'", "{kind}");
            assert_eq!(headers["x-content-type-options"], "'nosniff'", "{kind}");
            assert_eq!(
                headers["access-control-allow-origin"]["Fn::If"][0], "HasAllowedOrigins",
                "{kind}"
            );
            assert_eq!(
                headers["access-control-expose-headers"], "'etag, retry-after, x-amzn-requestid'",
                "{kind}"
            );

            let body = response["ResponseTemplates"]["application/json"]
                .as_str()
                .unwrap();
            let body = body
                .replace("$context.error.messageString", "\"Forbidden\"")
                .replace("$context.requestId", "r-1");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(
                body,
                serde_json::json!({"message": "Forbidden", "request_id": "r-1"}),
                "{kind}"
            );
        }
    }

    /// The local gateway encodes bodies in the same way (`gateway/event.rs`).
    #[test]
    fn api_passes_every_body_as_bytes() {
        let template = Template::built_in().unwrap();
        let apis: Vec<_> = template
            .resources("AWS::Serverless::Api")
            .map(|(_, api)| &api["Properties"])
            .collect();
        assert_eq!(apis.len(), 1);
        assert_eq!(
            apis[0]["BinaryMediaTypes"],
            Yaml::Sequence(vec!["*~1*".into()])
        );
    }

    #[test]
    fn changelog_reads_resources_stream_and_reports_failures() {
        let mappings = Template::built_in().unwrap().stream_mappings().unwrap();
        let mapping = mappings
            .iter()
            .find(|mapping| mapping.function == "changelog")
            .unwrap();
        assert_eq!(
            (mapping.table.as_str(), mapping.reports_item_failures),
            ("resources", true)
        );
    }
}
