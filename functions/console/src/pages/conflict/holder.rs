//! The resource that holds a unique value, as a problem names it.

use maud::{Markup, html};
use tidemark_core::wire::problem::Problem;

use crate::{pages::conflicts::ListQuery, text};

/// The resource that holds a unique value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UniqueHolder {
    id: String,
    channel: String,
}

impl UniqueHolder {
    /// Returns the holder that a problem names, if it names one.
    pub(super) fn of(problem: &Problem) -> Option<Self> {
        Some(Self {
            id: member(problem, "holder_id")?,
            channel: member(problem, "holder_channel")?,
        })
    }

    /// Returns a sentence with a link to the conflicts of the holder.
    pub(super) fn sentence(
        &self,
        resource_type: &str,
        link: impl FnOnce(&str) -> String,
    ) -> Markup {
        let query = ListQuery::default()
            .with("status", "all")
            .with("type", resource_type)
            .with("resource_id", &self.id);
        html! {
            p {
                "The value belongs to " (resource_type) " " (text::name(&self.id))
                " in the channel " (text::name(&self.channel)) " ("
                a href=(link(&query.path("conflicts", &[]))) { "its conflicts" }
                ")."
            }
        }
    }
}

/// Returns the text of a member of a problem.
pub(super) fn member(problem: &Problem, name: &str) -> Option<String> {
    let mut named = problem.members.iter().filter(|(given, _)| *given == name);
    let (_, value) = named.next()?;
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use tidemark_core::wire::problem::ProblemCode;

    use super::*;

    #[test]
    fn holder_is_linked_and_escaped() {
        let problem = Problem::new(ProblemCode::UniqueViolation, "taken");
        assert_eq!(UniqueHolder::of(&problem), None);
        let problem = problem
            .with("holder_id", &"<b>&")
            .with("holder_channel", &"tenant");

        let holder = UniqueHolder::of(&problem).expect("the holder is named");
        let shown = holder.sentence("meter", str::to_owned).into_string();
        assert!(shown.contains("<bdi>&lt;b&gt;&amp;</bdi>"), "{shown}");
        let href = "conflicts?status=all&amp;type=meter&amp;resource_id=%3Cb%3E%26";
        assert!(shown.contains(href), "{shown}");
    }
}
