//! Checks least privilege: each call of a function is compared with the permissions that
//! `template.yaml` grants to that function. A call without a permission fails the test that made
//! it, when its deployment is dropped; a permission without a call fails
//! `tests/system/unused_permissions.rs`.

mod hook;
mod needs;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock},
};

use lambda_http::http::Uri;
use tidemark::{
    engine::http::{Call, Hook},
    template::{Template, policies::Permission},
};

use hook::{PermissionHook, note};

/// The variable that names the file to which each permission is appended on its first use.
pub const FILE_VARIABLE: &str = "TIDEMARK_TEST_RIGHTS_FILE";

/// The permissions that were used in this process.
static USED: Mutex<BTreeSet<Permission>> = Mutex::new(BTreeSet::new());

/// Returns the permissions that were used in this process so far.
pub fn used() -> BTreeSet<Permission> {
    USED.lock().unwrap().clone()
}

/// Returns the permissions that the template grants.
pub fn granted() -> &'static BTreeSet<Permission> {
    static GRANTED: OnceLock<BTreeSet<Permission>> = OnceLock::new();
    GRANTED.get_or_init(|| Template::built_in().unwrap().permissions().unwrap())
}

/// The permissions that the functions of one deployment lacked. Dropping it panics if there are
/// any.
#[derive(Debug, Default)]
pub struct Watch {
    lacked: Arc<Mutex<BTreeSet<Permission>>>,
}

impl Watch {
    /// Returns a hook that records the permissions that a function's calls need, and then calls
    /// `hook`.
    pub fn over(&self, function: &str, hook: Arc<dyn Hook>) -> Arc<dyn Hook> {
        Arc::new(PermissionHook {
            function: function.to_owned(),
            lacked: Arc::clone(&self.lacked),
            hook,
        })
    }

    /// Records that a presigned upload URL was used: the function that signed it needs the
    /// permission.
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
                "template.yaml does not grant permissions that functions need:\n{}",
                lacked.join("\n")
            );
        }
    }
}
