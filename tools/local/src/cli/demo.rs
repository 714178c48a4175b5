//! The command `demo`: its arguments, and what it prints.

use clap::Args;
use http::Uri;

use super::{name, print_line};
use crate::demo::{self, ADMIN, DemoOutcome};

/// The arguments of `tidemark demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Address of the running local runner.
    #[arg(long, default_value = "http://127.0.0.1:9080", value_parser = address)]
    url: String,
    /// Tenant to fill: 1 to 256 bytes.
    #[arg(long, default_value = "acme", value_parser = name)]
    tenant: String,
}

/// Checks that a URL is `http://` and a host, and returns it without a slash at its end.
fn address(text: &str) -> Result<String, String> {
    let uri: Uri = text
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some("http"), Some(authority), "/") => Ok(format!("http://{authority}")),
        _ => Err("it must be http://, a host and a port, as the runner prints it".to_owned()),
    }
}

/// Fills a tenant with the demo data, prints the progress, and finally what to open.
pub async fn run(arguments: &DemoArgs) -> Result<(), String> {
    let DemoArgs { url, tenant } = arguments;
    let report = |text: &str| print_line(&format!("adding {text}"));
    let outcome = demo::fill(url, tenant, &report)
        .await
        .map_err(|error| error.to_string())?;

    print_line(match outcome {
        DemoOutcome::Added => "\nThe demo data is complete.",
        DemoOutcome::Existing => "The tenant contains the demo data already; nothing was added.",
    });
    print_line(&next_steps(url, tenant));
    Ok(())
}

/// Returns the text that names the console, its sign-in and sample commands.
fn next_steps(url: &str, tenant: &str) -> String {
    let quoted = quoted(tenant);
    format!(
        r#"
Open {url}/console and sign in: tenant {tenant}, user {ADMIN}, role admin.

The same data from the API:

  ROOT=$(cargo run -q -- token --tenant {quoted} --user {ADMIN} --role admin)
  curl -s '{url}/api/v1/mobile/conflicts?status=open' -H "authorization: Bearer $ROOT"
  curl -s '{url}/api/v1/mobile/devices?scope=tenant' -H "authorization: Bearer $ROOT"
  curl -s '{url}/api/v1/mobile/audit' -H "authorization: Bearer $ROOT""#
    )
}

/// Returns a text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
