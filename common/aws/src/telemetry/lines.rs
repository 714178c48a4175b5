//! Formats an event as one flat JSON object per line. The fields of the invocation are at the top
//! level, so that a search by `request_id` or `tenant` needs no path. The JSON formatter of
//! `tracing-subscriber` nests them in an object.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::{LookupSpan, Scope},
};

use super::METRICS;

/// The formatter for JSON lines.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields_of_event = EventFields::default();
        event.record(&mut fields_of_event);

        let metadata = event.metadata();
        if metadata.target() == METRICS {
            let line = fields_of_event
                .0
                .get("line")
                .and_then(Value::as_str)
                .unwrap_or_default();
            return writeln!(writer, "{line}");
        }

        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions
                .get::<FormattedFields<N>>()
                .map(|fields| fields.fields.as_str());
            line.extend(
                fields
                    .and_then(|fields| serde_json::from_str::<Map<_, _>>(fields).ok())
                    .into_iter()
                    .flatten(),
            );
        }

        line.extend(fields_of_event.0);
        line.insert("timestamp".into(), json!(timestamp));
        line.insert("level".into(), json!(metadata.level().as_str()));
        line.insert("target".into(), json!(metadata.target()));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of an event, as JSON values.
#[derive(Default)]
struct EventFields(Map<String, Value>);

impl EventFields {
    fn insert(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, json!(value));
    }
}
