//! Least privilege, watched: each call of a function is compared with what `template.yaml` lets
//! that function do. A call without a right fails the test that made it, when its deployment goes;
//! a right without a call fails `tests/system/unused_permissions.rs`.

mod needs;

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::Write as _,
    sync::{Arc, Mutex, OnceLock},
};

use lambda_http::http::Uri;
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
    template::{Template, policies::Right},
};

/// Names the file that each right is noted in when it is first used.
pub const FILE_VARIABLE: &str = "TIDEMARK_TEST_RIGHTS_FILE";

/// The rights that were used in this process.
static USED: Mutex<BTreeSet<Right>> = Mutex::new(BTreeSet::new());

/// The rights that were used in this process so far.
pub fn used() -> BTreeSet<Right> {
    USED.lock().unwrap().clone()
}

/// The rights that the template gives.
pub fn granted() -> &'static BTreeSet<Right> {
    static GRANTED: OnceLock<BTreeSet<Right>> = OnceLock::new();
    GRANTED.get_or_init(|| Template::built_in().unwrap().permissions().unwrap())
}

/// The rights that the functions of one deployment lacked. Dropped with it, that is a failure.
#[derive(Debug, Default)]
pub struct Watch {
    lacked: Arc<Mutex<BTreeSet<Right>>>,
}

impl Watch {
    /// The hook of a function's calls: it notes what they need, and hands them on to `hook`.
    pub fn over(&self, function: &str, hook: Arc<dyn Hook>) -> Arc<dyn Hook> {
        Arc::new(RecordingClient {
            function: function.to_owned(),
            lacked: Arc::clone(&self.lacked),
            hook,
        })
    }

    /// Notes that a URL was used that a function signed for putting an object.
    pub fn note_upload(&self, url: &Uri) {
        let signer = url.query().and_then(|query| {
            query
                .split('&')
                .find_map(|part| part.strip_prefix("X-Amz-Security-Token="))
        });
        if let Some(function) = signer {
            let call = Call {
                operation: "PutObject",
                body: url.path().as_bytes(),
            };
            note(function, &self.lacked, needs::permissions(&call));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let lacked: Vec<_> = self
            .lacked
            .lock()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        if !std::thread::panicking() {
            assert!(
                lacked.is_empty(),
                "template.yaml does not let a function do what it does:\n{}",
                lacked.join("\n")
            );
        }
    }
}

struct RecordingClient {
    function: String,
    lacked: Arc<Mutex<BTreeSet<Right>>>,
    hook: Arc<dyn Hook>,
}

impl Hook for RecordingClient {
    fn before<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, CallFate> {
        note(&self.function, &self.lacked, needs::permissions(call));
        self.hook.before(call)
    }

    fn after<'a>(&'a self, call: &'a Call<'a>, reply: &'a Reply) -> BoxFuture<'a, CallFate> {
        note(
            &self.function,
            &self.lacked,
            needs::permissions_for_response(call, reply),
        );
        self.hook.after(call, reply)
    }
}

/// Notes that a function needs these rights, as (action, resource).
fn note(function: &str, lacked: &Mutex<BTreeSet<Right>>, permissions: Vec<(String, String)>) {
    for (action, resource) in permissions {
        let right = Right {
            function: function.to_owned(),
            action,
            resource,
        };
        if !granted().contains(&right) {
            lacked.lock().unwrap().insert(right.clone());
        }
        if USED.lock().unwrap().insert(right.clone())
            && let Some(file) = std::env::var_os(FILE_VARIABLE)
        {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)
                .unwrap();
            // One write, so that lines of other threads do not run into it.
            file.write_all(format!("{right}\n").as_bytes()).unwrap();
        }
    }
}
