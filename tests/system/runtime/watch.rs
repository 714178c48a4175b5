//! `cargo lambda watch` serves the routes of the API from the root of the workspace, according to
//! its manifest.

use std::collections::BTreeSet;

use tidemark_core::wire::routes::ROUTES;

#[test]
fn manifest_and_code_have_equal_routes() {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let router = manifest["workspace"]["metadata"]["lambda"]["watch"]["router"]
        .as_table()
        .unwrap();

    let routed: BTreeSet<(&str, &str, &str)> = router
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_array().unwrap().iter().map(move |route| {
                (
                    route["method"].as_str().unwrap(),
                    path.as_str(),
                    route["function"].as_str().unwrap(),
                )
            })
        })
        .collect();

    let served = ROUTES.iter().flat_map(|route| {
        [route.method, "OPTIONS"].map(|method| (method, route.path, route.function))
    });
    let served = served.collect();
    assert_eq!(routed, served);
}
