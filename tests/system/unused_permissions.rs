//! No function may do what it does not do. (What a function does and may not fails every test that
//! sees it: `tests/src/permissions`.)
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{collections::BTreeSet, fs, process::Command};

use tidemark::template::{Template, policies::Right};
use tidemark_tests::permissions;

/// The rights that the whole suite uses, by running it once more in a process of its own, without
/// what asks.
fn used_by_all_tests() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rights");
    let mut suite = Command::new(std::env::current_exe().unwrap());
    suite
        .args(["--skip", module_path!().split_once("::").unwrap().1])
        .env(permissions::FILE_VARIABLE, &file);
    let run = suite.output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success(),
        "the suite that was to show which rights are used failed:\n{told}"
    );
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

/// Named to come last, when the other tests of the same process have usually shown all there is. If
/// not, all of them run again: so it makes no difference which tests run, in which order.
#[test]
fn every_right_is_used_by_some_test() {
    let unused = |is_used: &dyn Fn(&Right) -> bool| -> Vec<String> {
        permissions::granted()
            .iter()
            .filter(|right| !is_used(right))
            .map(ToString::to_string)
            .collect()
    };
    let template = Template::built_in().unwrap();
    let by_lambda = template.destination_permissions().unwrap();
    let so_far = permissions::used();
    if unused(&|right| so_far.contains(right) || by_lambda.contains(right)).is_empty() {
        return;
    }
    let by_tests = used_by_all_tests();
    let unused =
        unused(&|right| by_tests.contains(&right.to_string()) || by_lambda.contains(right));
    assert!(
        unused.is_empty(),
        "template.yaml lets functions do what no test makes them do:\n{}",
        unused.join("\n")
    );
}

/// Lambda makes these calls with the function's role, so no test can.
#[test]
fn a_mapping_may_put_what_it_gives_up_on_into_its_bucket() {
    let needed = Template::built_in()
        .unwrap()
        .destination_permissions()
        .unwrap();
    let lacked: Vec<_> = needed
        .difference(permissions::granted())
        .map(ToString::to_string)
        .collect();
    assert!(
        lacked.is_empty(),
        "template.yaml does not let a stream mapping do what it does:\n{}",
        lacked.join("\n")
    );
}

#[test]
fn no_right_has_a_wildcard_but_for_the_objects_of_a_folder() {
    for right in permissions::granted() {
        let is_folder = right.resource.starts_with("bucket/") && right.resource.ends_with("/*");
        let named = if is_folder {
            right.resource.trim_end_matches("/*")
        } else {
            &right.resource
        };
        assert!(
            !right.action.contains('*')
                && !named.contains('*')
                && named.matches('/').count() >= usize::from(is_folder) * 2,
            "{right}"
        );
    }
}

#[test]
fn who_signs_uploads_may_do_nothing_else() {
    let permissions = permissions::granted()
        .iter()
        .filter(|right| right.function == "presign");
    assert_eq!(
        permissions.map(ToString::to_string).collect::<Vec<_>>(),
        ["presign: s3:PutObject on bucket/media/incoming/*"]
    );
}
