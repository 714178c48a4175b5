//! The tables that `template.yaml` declares.

use super::*;

#[test]
fn table_name_derives_from_logical_id() {
    assert_eq!(local_name("ResourcesTable"), "resources");
    assert_eq!(local_name("SyncBatchesTable"), "sync_batches");
}

#[test]
fn template_declares_tables_of_architecture() {
    let tables = Template::built_in().unwrap().tables().unwrap();
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    for name in [
        "resources",
        "changes",
        "sync_batches",
        "sync_items",
        "conflicts",
    ] {
        assert!(names.contains(&name), "{name} is missing from {names:?}");
    }
}

#[test]
fn resources_table_streams_both_images() {
    let tables = Template::built_in().unwrap().tables().unwrap();
    let resources = tables
        .iter()
        .find(|table| table.name == "resources")
        .unwrap();
    assert_eq!(
        resources.create["StreamSpecification"],
        json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    );
}

#[test]
fn time_to_live_becomes_separate_request() {
    let template = Template::parse(
        "Resources: { ATable: { Type: 'AWS::DynamoDB::Table', Properties: {
           KeySchema: [], TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true } } } }",
    );
    let request = template.unwrap().tables().unwrap()[0]
        .update_time_to_live()
        .unwrap();
    assert_eq!(
        request["TimeToLiveSpecification"],
        json!({"AttributeName": "expires_at", "Enabled": true})
    );
}
