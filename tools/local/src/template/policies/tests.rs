//! Statements of a policy in every accepted form, and the rejected ones.

use super::*;

fn template(function: &str) -> Template {
    let resources = "
  AThingsTable: { Type: 'AWS::DynamoDB::Table' }
  MediaBucket: { Type: 'AWS::S3::Bucket' }
  NewsTopic: { Type: 'AWS::SNS::Topic' }
  PushFunction:
    Type: AWS::Serverless::Function
    Properties: ";
    Template::parse(&format!("Resources:{resources}{function}")).unwrap()
}

fn display(permissions: &BTreeSet<Permission>) -> Vec<String> {
    permissions.iter().map(ToString::to_string).collect()
}

#[test]
fn statement_combines_actions_and_resources() {
    let template = template(
        "{ Policies: [
              { Statement: [{ Effect: Allow, Action: [a:One, a:Two], Resource: !GetAtt AThingsTable.Arn }] },
              { Statement: { Effect: Allow, Action: a:Three, Resource: [!Sub '${AThingsTable.Arn}/index/x', !Ref NewsTopic,
                !Sub '${MediaBucket.Arn}/uploads/*'] } } ] }",
    );

    let permissions = template.permissions().unwrap();
    let expected = [
        "push: a:One on table/a_things",
        "push: a:Three on bucket/media/uploads/*",
        "push: a:Three on table/a_things/index/x",
        "push: a:Three on topic/news",
        "push: a:Two on table/a_things",
    ];
    assert_eq!(display(&permissions), expected);
}

#[test]
fn prefix_condition_bounds_a_listing() {
    let listing = |condition: &str| {
        let statement = format!(
            "Effect: Allow, Action: s3:ListBucket, Resource: !GetAtt MediaBucket.Arn, Condition: {condition}"
        );
        template(&format!(
            "{{ Policies: [{{ Statement: [{{ {statement} }}] }}] }}"
        ))
        .permissions()
    };

    let permissions = listing("{ StringLike: { 's3:prefix': [incoming/*, uploads/*] } }").unwrap();
    let expected = [
        "push: s3:ListBucket on bucket/media/incoming/*",
        "push: s3:ListBucket on bucket/media/uploads/*",
    ];
    assert_eq!(display(&permissions), expected);
    assert_eq!(
        display(&listing("{ StringLike: { 's3:prefix': uploads/* } }").unwrap()),
        expected[1..]
    );

    for condition in [
        "{}",
        "{ StringLike: { 's3:prefix': '*' } }",
        "{ StringLike: { 's3:prefix': '/*' } }",
        "{ StringLike: { 's3:prefix': uploads } }",
        "{ StringNotLike: { 's3:prefix': uploads/* } }",
        "{ StringLike: { 's3:delimiter': uploads/* } }",
        "{ StringLike: { 's3:prefix': uploads/* }, Bool: { 'aws:SecureTransport': true } }",
    ] {
        assert!(listing(condition).is_err(), "{condition}");
    }
}

#[test]
fn separate_policy_may_only_use_the_key() {
    let policy = |statement: &str| {
        let extra = format!(
            "\n  KeyPolicy: {{ Type: 'AWS::IAM::ManagedPolicy', Properties: {{ PolicyDocument: {{ Statement: [{statement}] }} }} }}"
        );
        template(&format!(
            "{{ Policies: [!If [HasKey, !Ref KeyPolicy, !Ref AWS::NoValue]] }}{extra}"
        ))
        .permissions()
    };

    let through = "Condition: { StringEquals: { 'kms:ViaService': [x] } }";
    let sound =
        format!("{{ Effect: Allow, Action: [kms:Decrypt], Resource: !Ref KmsKeyArn, {through} }}");

    assert!(policy(&sound).unwrap().is_empty());
    for statement in [
        "{ Effect: Allow, Action: kms:Decrypt, Resource: !Ref KmsKeyArn }".to_owned(),
        sound.replace("kms:Decrypt", "kms:*"),
        sound.replace("kms:Decrypt", "dynamodb:Scan"),
        sound.replace("!Ref KmsKeyArn", "'*'"),
    ] {
        assert!(policy(&statement).is_err(), "{statement}");
    }
}

#[test]
fn uninterpretable_policy_is_rejected() {
    let statement =
        |statement: &str| format!("{{ Policies: [{{ Statement: [{{ {statement} }}] }}] }}");

    for function in [
        "{ Policies: [AmazonDynamoDBFullAccess] }",
        "{ Policies: [!Ref PolicyOfTheCaller] }",
        "{ Policies: [{ DynamoDBCrudPolicy: { TableName: !Ref AThingsTable } }] }",
        "{ Role: 'arn:aws:iam::123456789012:role/all' }",
        &statement("Effect: Deny, Action: a:One, Resource: !GetAtt AThingsTable.Arn"),
        &statement("Effect: Allow, NotAction: a:One, Resource: !GetAtt AThingsTable.Arn"),
        &statement("Effect: Allow, Action: a:One"),
        &statement("Effect: Allow, Action: a:One, Resource: '*'"),
        &statement("Effect: Allow, Action: a:One, Resource: !GetAtt AThingsTable.StreamArn"),
        &statement("Effect: Allow, Action: a:One, Resource: !GetAtt Another.Arn"),
        &statement("Effect: Allow, Action: a:One, Resource: !Sub 'arn:aws:s3:::${MediaBucket}/*'"),
        &statement(
            "Effect: Allow, Action: a:One, Resource: !GetAtt AThingsTable.Arn, Condition: {}",
        ),
        "{ Policies: [] }\n  Extra: { Type: 'AWS::IAM::Policy' }",
    ] {
        assert!(template(function).permissions().is_err(), "{function}");
    }
}

#[test]
fn failed_mapping_writes_records_to_bucket() {
    let mapping = |of: &str| {
        let event = format!(
            "{{ DestinationConfig: {{ OnFailure: {{ Destination: !GetAtt {of}.Arn, Type: S3 }} }} }}"
        );
        template(&format!(
            "{{ Events: {{ Stream: {{ Type: DynamoDB, Properties: {event} }} }} }}"
        ))
        .destination_permissions()
    };

    let expected = [
        "push: s3:ListBucket on bucket/media",
        "push: s3:PutObject on bucket/media/aws/lambda/*",
    ];
    assert_eq!(display(&mapping("MediaBucket").unwrap()), expected);
    assert!(mapping("AThingsTable").is_err());
}
