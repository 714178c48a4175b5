//! No function has a permission that it does not use. (A call without permission fails every test
//! that observes it: `tests/support/permissions`.)
#![expect(clippy::unwrap_used, reason = "a failed precondition fails the test")]

use std::{collections::BTreeSet, fs, process::Command};

use tidemark::template::{Template, policies::Permission};
use tidemark_tests::permissions;

/// Returns the permissions that the whole suite uses. Runs the suite again in a separate process,
/// without this module.
fn used_by_all_tests() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("permissions");
    let mut suite = Command::new(std::env::current_exe().unwrap());
    suite
        .args(["--skip", module_path!().split_once("::").unwrap().1])
        .env(permissions::FILE_VARIABLE, &file);

    let run = suite.output().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "the run of the suite that records the used permissions failed:\n{output}"
    );

    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

/// The name sorts late, when the other tests of the process have usually used all permissions. If
/// they have not, all tests run again, so the result does not depend on which tests run and in
/// which order.
#[test]
fn every_permission_is_used_by_a_test() {
    let unused = |is_used: &dyn Fn(&Permission) -> bool| -> Vec<String> {
        permissions::granted()
            .iter()
            .filter(|permission| !is_used(permission))
            .map(ToString::to_string)
            .collect()
    };

    let template = Template::built_in().unwrap();
    let by_lambda = template.destination_permissions().unwrap();
    let so_far = permissions::used();
    if unused(&|permission| so_far.contains(permission) || by_lambda.contains(permission))
        .is_empty()
    {
        return;
    }

    let by_tests = used_by_all_tests();
    let unused = unused(&|permission| {
        by_tests.contains(&permission.to_string()) || by_lambda.contains(permission)
    });
    assert!(
        unused.is_empty(),
        "template.yaml grants permissions that no test uses:\n{}",
        unused.join("\n")
    );
}

/// Lambda makes these calls with the function's role, so no test can observe them.
#[test]
fn mappings_may_write_to_failure_destination() {
    let needed = Template::built_in()
        .unwrap()
        .destination_permissions()
        .unwrap();
    let missing: Vec<_> = needed
        .difference(permissions::granted())
        .map(ToString::to_string)
        .collect();
    assert!(
        missing.is_empty(),
        "template.yaml lacks permissions that a stream mapping needs:\n{}",
        missing.join("\n")
    );
}

#[test]
fn permissions_have_no_wildcard_except_folders() {
    for permission in permissions::granted() {
        let is_folder =
            permission.resource.starts_with("bucket/") && permission.resource.ends_with("/*");
        let named = if is_folder {
            permission.resource.trim_end_matches("/*")
        } else {
            &permission.resource
        };
        assert!(
            !permission.action.contains('*')
                && !named.contains('*')
                && named.matches('/').count() >= usize::from(is_folder) * 2,
            "{permission}"
        );
    }
}

#[test]
fn presign_may_only_put_incoming_objects() {
    let permissions = permissions::granted()
        .iter()
        .filter(|permission| permission.function == "presign");
    assert_eq!(
        permissions.map(ToString::to_string).collect::<Vec<_>>(),
        ["presign: s3:PutObject on bucket/media/incoming/*"]
    );
}
