//! What a page is: who may use it, what its handler gets, and what its handler returns.

use std::pin::Pin;

use lambda_http::{Request, http::StatusCode};
use maud::Markup;
use tidemark_aws::{Context, Error, dead_letters::DeadLetters, http, media::Media};
use tidemark_core::model::principal::Principal;

use crate::{address::Address, csv::CsvFile, form::FormFields};

/// The decoded values of the placeholders of a path, by their names.
pub(crate) type Parameters = Vec<(&'static str, String)>;

/// The roles that pages require.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// May read. An admin may, too.
    Viewer,
    /// May resolve, replay and revert.
    Admin,
    /// May see and repair what belongs to the whole deployment.
    Operator,
}

impl Role {
    /// Returns whether the user has the role.
    pub fn is_held_by(self, principal: &Principal) -> bool {
        match self {
            Self::Viewer => principal.is_viewer(),
            Self::Admin => principal.is_admin(),
            Self::Operator => principal.is_operator(),
        }
    }

    /// Returns the name of the role.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

/// The future of a page's handler.
pub type Serving<'a> = Pin<Box<dyn Future<Output = Result<PageReply, Error>> + Send + 'a>>;

/// A page, or the action of a form.
#[derive(Debug)]
pub struct Page {
    /// The HTTP method: `GET` of a page, `POST` of an action.
    pub method: &'static str,
    /// The path below the address of the console; `{name}` matches one segment.
    pub path: &'static str,
    /// The name of the page in the navigation; `None` if it is not part of it.
    pub navigation: Option<&'static str>,
    /// The roles of which one is sufficient. Without roles, every signed-in user may use the page.
    pub roles: &'static [Role],
    /// The handler of the page.
    pub(crate) serve: for<'a> fn(&'a Visit<'a>) -> Serving<'a>,
}

impl Page {
    /// Returns whether the user may use the page.
    pub fn may_be_used_by(&self, principal: &Principal) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| role.is_held_by(principal))
    }

    /// Returns the decoded values of the placeholders if `path` matches the path of this page.
    pub(crate) fn parameters(&self, path: &str) -> Option<Parameters> {
        if self.path.split('/').count() != path.split('/').count() {
            return None;
        }

        let mut parameters = Vec::new();
        for (own, given) in self.path.split('/').zip(path.split('/')) {
            match own
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'))
            {
                Some(name) if !given.is_empty() => parameters.push((name, decoded(given))),
                _ if own == given => {}
                _ => return None,
            }
        }
        Some(parameters)
    }
}

/// Decodes the percent escapes of a path segment. A plus sign is not a space there.
fn decoded(segment: &str) -> String {
    let escaped = segment.replace('+', "%2B").replace('&', "%26");
    form_urlencoded::parse(format!("value={escaped}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The clients of the buckets that some pages use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets<'a> {
    /// The media bucket, for replays.
    pub(crate) media: &'a Media,
    /// The dead-letter bucket.
    pub(crate) dead_letters: &'a DeadLetters,
}

/// A request for a page by a user who may use it.
#[derive(Debug)]
pub struct Visit<'a> {
    /// The dependencies of the handler.
    pub context: &'a Context,
    /// The signed-in user.
    pub principal: &'a Principal,
    pub(crate) buckets: Buckets<'a>,
    request: &'a Request,
    address: &'a Address,
    parameters: Parameters,
    form: FormFields,
}

impl<'a> Visit<'a> {
    /// Creates the visit of a request, with the fields of its form.
    pub(crate) fn new(
        context: &'a Context,
        buckets: Buckets<'a>,
        principal: &'a Principal,
        request: &'a Request,
        address: &'a Address,
        parameters: Parameters,
        form: FormFields,
    ) -> Self {
        Self {
            context,
            principal,
            buckets,
            request,
            address,
            parameters,
            form,
        }
    }

    /// Returns the value of the placeholder `{name}` in the path of the page.
    pub fn parameter(&self, name: &str) -> &str {
        let mut named = self.parameters.iter().filter(|(own, _)| *own == name);
        named.next().map_or("", |(_, value)| value)
    }

    /// Returns a parameter of the query, or `None` if it is missing or empty.
    pub fn query(&self, name: &str) -> Option<&str> {
        http::query_parameter(self.request, name)
    }

    /// Returns the values of a field of the form, in the order of the form.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.form.iter().filter(move |(field, _)| field == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns all fields of the form with their names, in the order of the form.
    pub fn form(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.form.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns a relative reference to a page, which may include a query.
    pub fn link(&self, path: &str) -> String {
        self.address.link(path)
    }
}

/// What the handler of a page returns.
#[derive(Debug)]
pub enum PageReply {
    /// A page with this title and content, to which the layout adds its frame.
    View {
        /// The title of the page, which is also its heading.
        title: String,
        /// The content below the heading.
        content: Markup,
    },
    /// A list as a file, which the browser saves.
    File(CsvFile),
    /// The page of a form that was rejected, with the reasons.
    Rejected {
        /// The HTTP status of the rejection.
        status: StatusCode,
        /// The title of the page, which is also its heading.
        title: String,
        /// The content below the heading.
        content: Markup,
    },
    /// A redirect to this path below the address of the console, after an action.
    SeeOther(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &'static str) -> Page {
        Page {
            method: "GET",
            path,
            navigation: None,
            roles: &[],
            serve: |_| Box::pin(async { Err(Error::unavailable("not called")) }),
        }
    }

    #[test]
    fn placeholders_match_one_decoded_segment() {
        let named = page("conflicts/{id}");
        assert_eq!(
            named.parameters("conflicts/a%2Fb+%26c"),
            Some(vec![("id", "a/b+&c".to_owned())])
        );
        assert_eq!(page("help").parameters("help"), Some(vec![]));
        for path in ["", "conflicts", "conflicts/", "conflicts/a/b", "other/a"] {
            assert_eq!(named.parameters(path), None, "{path}");
        }
    }

    #[test]
    fn admin_is_a_viewer_and_no_operator() {
        let holder = |role: &str| Principal {
            tenant: "acme".into(),
            user: "ana".into(),
            roles: vec![role.into()],
            groups: vec![],
        };
        let held = |role: &str| {
            [Role::Viewer, Role::Admin, Role::Operator]
                .map(|wanted| wanted.is_held_by(&holder(role)))
        };
        assert_eq!(held("viewer"), [true, false, false]);
        assert_eq!(held("admin"), [true, true, false]);
        assert_eq!(held("operator"), [false, false, true]);
        assert_eq!(held("editor"), [false, false, false]);
    }
}
