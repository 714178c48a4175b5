//! The address of a request: where the console is, which page is requested, and how to refer to
//! other pages. All references are relative, so that the console works below a stage
//! (`/v1/console`), on a domain of its own and in the local runner.

use lambda_http::{Request, RequestExt as _, http::header, request::RequestContext};

/// The path segment at which the console begins.
const ROOT: &str = "console";
/// The path of the sign-in below the address of the console.
pub(crate) const SIGN_IN: &str = "sign-in";
/// The path to which the provider returns the user.
pub(crate) const CALLBACK: &str = "callback";
/// The path of the sign-out.
pub(crate) const SIGN_OUT: &str = "sign-out";
/// The path of the page after the sign-out.
pub(crate) const SIGNED_OUT: &str = "signed-out";

/// The address of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    /// The scheme and the host, as browsers send them in `Origin`.
    pub(crate) origin: String,
    /// The absolute path of the console, such as `/v1/console`.
    pub(crate) root: String,
    /// The path of the page below the console, without slashes at its ends.
    pub(crate) page: String,
    /// The relative reference from the requested page to the pages of the console: a prefix of
    /// their paths.
    pub(crate) base: String,
}

impl Address {
    /// Returns the address of a request. `is_local` means that the local runner serves it, without
    /// TLS.
    pub(crate) fn of(request: &Request, is_local: bool) -> Self {
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        let scheme = if is_local { "http" } else { "https" };

        let below = request
            .path_parameters_ref()
            .and_then(|parameters| parameters.first("proxy"))
            .map(|proxy| segments(proxy).count());
        Self {
            origin: format!("{scheme}://{}", host.to_ascii_lowercase()),
            ..Self::below(public_path(request), below)
        }
    }

    /// Splits a path. `below` is the number of segments below the console, if the gateway states
    /// it: a stage or a base path may have the same name as the console.
    fn below(path: &str, below: Option<usize>) -> Self {
        let is_root = |end: &usize| {
            let (before, after) = path.split_at(*end);
            before
                .strip_suffix(ROOT)
                .is_some_and(|it| it.ends_with('/'))
                && (after.is_empty() || after.starts_with('/'))
        };
        let ends: Vec<usize> = path
            .match_indices(ROOT)
            .map(|(at, _)| at + ROOT.len())
            .filter(is_root)
            .collect();

        let stated = ends
            .iter()
            .find(|end| Some(segments(&path[**end..]).count()) == below);
        let Some(end) = stated.or(ends.first()).copied() else {
            return Self::default();
        };

        let (root, rest) = path.split_at(end);
        let base = match rest.matches('/').count() {
            0 => format!("{ROOT}/"),
            depth => "../".repeat(depth - 1),
        };
        Self {
            origin: String::new(),
            root: root.to_owned(),
            page: rest.trim_matches('/').to_owned(),
            base,
        }
    }

    /// Returns a relative reference to a page of the console, which may include a query. The result
    /// is relative for every `path`: it never names another host.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("./{}{path}", self.base)
    }

    /// Returns the absolute address of a page of the console.
    pub(crate) fn absolute(&self, path: &str) -> String {
        format!("{}{}/{path}", self.origin, self.root)
    }
}

/// Returns the path that the browser requested. The path of a REST API's event lacks the stage.
fn public_path(request: &Request) -> &str {
    let with_stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(api)) => api.path.as_deref(),
        _ => None,
    };
    with_stage.unwrap_or(request.uri().path())
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str, below: Option<usize>) -> (String, String, String) {
        let address = Address::below(path, below);
        (address.root, address.page, address.base)
    }

    #[test]
    fn references_are_relative_to_requested_page() {
        for (path, root, page, base) in [
            ("/console", "/console", "", "console/"),
            ("/console/", "/console", "", ""),
            ("/v1/console", "/v1/console", "", "console/"),
            ("/v1/console/help", "/v1/console", "help", ""),
            ("/v1/console/help/", "/v1/console", "help", "../"),
            ("/v1/console/a/b/c", "/v1/console", "a/b/c", "../../"),
            ("/v1/consoles/console/a", "/v1/consoles/console", "a", ""),
            ("/v1/other", "", "", ""),
        ] {
            let expected = (root.to_owned(), page.to_owned(), base.to_owned());
            assert_eq!(split(path, None), expected, "{path}");
        }
    }

    #[test]
    fn gateway_states_segments_below_console() {
        let (root, page, _) = split("/console/console/help", Some(1));
        assert_eq!((root.as_str(), page.as_str()), ("/console/console", "help"));

        let (root, page, _) = split("/v1/console/types/console", Some(2));
        assert_eq!(
            (root.as_str(), page.as_str()),
            ("/v1/console", "types/console")
        );
    }

    #[test]
    fn links_never_name_another_host() {
        let address = Address::below("/console/help", None);
        assert_eq!(address.link("catalog?a=b"), "./catalog?a=b");
        assert_eq!(address.link("//evil.example"), ".///evil.example");
        assert_eq!(
            address.link("https://evil.example"),
            "./https://evil.example"
        );
    }
}
