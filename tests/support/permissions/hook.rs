//! Records the calls of a function and checks its permissions.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::Write as _,
    sync::{Arc, Mutex},
};
use tidemark::{
    BoxFuture,
    engine::{
        Reply,
        http::{Call, CallFate, Hook},
    },
    template::policies::Permission,
};

use super::{FILE_VARIABLE, USED, granted, needs};

pub(super) struct PermissionHook {
    pub(super) function: String,
    pub(super) lacked: Arc<Mutex<BTreeSet<Permission>>>,
    pub(super) hook: Arc<dyn Hook>,
}

impl Hook for PermissionHook {
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

/// Records that a function needs these permissions, as (action, resource).
pub(super) fn note(
    function: &str,
    lacked: &Mutex<BTreeSet<Permission>>,
    permissions: Vec<(String, String)>,
) {
    for (action, resource) in permissions {
        let permission = Permission {
            function: function.to_owned(),
            action,
            resource,
        };

        if !granted().contains(&permission) {
            lacked.lock().unwrap().insert(permission.clone());
        }

        if USED.lock().unwrap().insert(permission.clone())
            && let Some(file) = std::env::var_os(FILE_VARIABLE)
        {
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(file)
                .unwrap();
            // A single write keeps the lines of concurrent threads apart.
            file.write_all(format!("{permission}\n").as_bytes())
                .unwrap();
        }
    }
}
