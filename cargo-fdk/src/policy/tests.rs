use super::*;
use crate::tenancy::{Compartment, Group, User};

pub(super) const FUNCTION: &str = "ocid1.fnfunc.local..hello";
pub(super) const APP: &str = "ocid1.fnapp.local..app";

pub(super) fn tenancy() -> Arc<Tenancy> {
    let compartment = |name: &str, parent: Option<&str>| Compartment {
        id: format!("ocid1.compartment.local..{name}"),
        name: name.into(),
        parent: parent.map(|parent| format!("ocid1.compartment.local..{parent}")),
    };
    let group =
        |name: &str| Group { id: format!("ocid1.group.local..{}", name.to_lowercase()), name: name.into() };
    let user = |name: &str, groups: &[&str]| User {
        id: format!("ocid1.user.local..{name}"),
        name: name.into(),
        groups: groups.iter().map(ToString::to_string).collect(),
        keys: Vec::new(),
    };
    let dynamic = |name: &str, rule: &str| DynamicGroup {
        id: format!("ocid1.dynamicgroup.local..{name}"),
        name: name.into(),
        rule: rule.into(),
    };
    Arc::new(Tenancy {
        id: "ocid1.tenancy.local..t".into(),
        name: "laptop".into(),
        namespace: "local".into(),
        compartments: vec![
            compartment("ai", None),
            compartment("dev", Some("ai")),
            compartment("other", None),
        ],
        groups: vec![group("Callers"), group("Deployers")],
        dynamic_groups: vec![
            dynamic("hello", "ALL {resource.type = 'fnfunc', resource.id = '${function_id}'}"),
            dynamic(
                "elsewhere",
                "any {resource.compartment.id = 'ocid1.compartment.local..other', instance.id = 'x', tag.a.b.value}",
            ),
        ],
        users: vec![user("alice", &["Callers"]), user("bob", &["Deployers"]), user("carol", &[])],
    })
}

pub(super) fn read(text: &str) -> Result<Policies, Vec<Fault>> {
    Policies::read(text, &Names::from([("function_id".into(), FUNCTION.into())]), tenancy())
}

pub(super) fn user(name: &str) -> Caller {
    let tenancy = tenancy();
    let user = tenancy.user(name).unwrap();
    Caller::User { id: user.id.clone(), name: user.name.clone(), groups: tenancy.groups_of(user) }
}

pub(super) fn function(id: &str) -> Caller {
    Caller::Resource {
        id: id.into(),
        kind: "fnfunc".into(),
        compartment: "ocid1.compartment.local..dev".into(),
    }
}

/// A function in `ai:dev`.
fn target() -> Target {
    Target {
        compartment: "ocid1.compartment.local..dev".into(),
        variables: vec![("target.function.id", FUNCTION.into()), ("target.app.id", APP.into())],
    }
}

pub(super) fn allows(text: &str, caller: &Caller, operation: &Operation, target: &Target) -> bool {
    let policies = read(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    policies.decide(&Request { caller, operation, target }).is_allowed()
}

/// Whether alice may invoke the function.
fn invokes(text: &str) -> bool {
    allows(text, &user("alice"), &INVOKE_FUNCTION, &target())
}

#[test]
fn the_users_own_statements_mean_what_oracle_says() {
    for yes in [
        "Allow group Callers to use fn-invocation in compartment ai where target.function.id = '${function_id}'",
        "ALLOW GROUP callers TO USE FN-INVOCATION IN COMPARTMENT ai:dev",
        "  Allow   group 'Default'/'Callers' to manage functions-family in tenancy   # a comment",
        "Allow group Default/Callers to use fn-invocation in tenancy",
        "Allow group Deployers, Callers to use fn-invocation in tenancy",
        "Allow group Deployers,id ocid1.group.local..callers to use fn-invocation in tenancy",
        "Allow any-user to use fn-invocation in compartment id ocid1.compartment.local..ai",
        "Allow any-group to manage all-resources in tenancy",
        "Allow group Callers to {FN_INVOCATION, KEY_READ} in tenancy",
        "Allow group Callers to use fn-invocation in tenancy where target.app.id = 'OCID1.FNAPP.local..app'",
        "Allow group Callers to use fn-invocation in tenancy where request.operation in ('GetFunction','InvokeFunction')",
        "Allow group Callers to use fn-invocation in tenancy where request.user.name != 'bob'",
        "Allow group Callers to use fn-invocation in tenancy where target.function.id = /ocid1.FNFUNC*/",
        "Allow group Callers to use fn-invocation in tenancy where target.function.id = /*.Hello/",
        "Allow group Callers to use fn-invocation in tenancy where target.function.id = /*fnfunc*/",
        "Allow group Callers to use fn-invocation in tenancy where all {request.permission='FN_INVOCATION', any {target.compartment.name='other', target.compartment.name='dev'}}",
        "Allow group Callers to use fn-invocation in tenancy where any {request.principal.type = 'user', target.secret.id = 'x'}",
        "Allow group Callers to use fn-invocation in tenancy where request.groups.id = 'ocid1.group.local..callers'",
        "Allow group Callers to use fn-invocation in tenancy where request.region = 'lcl'",
    ] {
        assert!(invokes(yes), "{yes}");
    }
    for no in [
        "",
        "# nothing but a comment",
        "Allow group Callers to read functions-family in tenancy",
        "Allow group Callers to manage fn-function in tenancy",
        "Allow group Deployers to use fn-invocation in tenancy",
        "Allow group 'Other'/'Callers' to use fn-invocation in tenancy",
        "Allow group Nobody to use fn-invocation in tenancy",
        "Allow dynamic-group hello to use fn-invocation in tenancy",
        "Allow service faas to use fn-invocation in tenancy",
        "Allow group Callers to use fn-invocation in compartment other",
        "Allow group Callers to use fn-invocation in tenancy where target.function.id = 'ocid1.fnfunc.local..other'",
        "Allow group Callers to use fn-invocation in tenancy where target.function.id != '${function_id}'",
        // A variable that does not apply declines the request, whichever the comparison.
        "Allow group Callers to use fn-invocation in tenancy where target.bucket.name != 'models'",
        "Allow group Callers to use fn-invocation in tenancy where request.networkSource.name != 'office'",
        "Allow group Callers to use fn-invocation in tenancy where request.utc-timestamp before '2099-01-01T00:00Z'",
        "Allow group Callers to use fn-invocation in tenancy where all {request.principal.type = 'user', target.secret.id = 'x'}",
        "Allow group Callers to {FN_APP_READ} in tenancy",
        "Define tenancy Other as ocid1.tenancy.oc1..other",
        "Endorse group Callers to use fn-invocation in tenancy Other",
        "Admit group Callers of tenancy Other to use fn-invocation in tenancy",
    ] {
        assert!(!invokes(no), "{no}");
    }
}

#[test]
fn a_function_is_allowed_by_its_dynamic_group_or_by_its_type() {
    let bucket = Target {
        compartment: "ocid1.compartment.local..ai".into(),
        variables: vec![("target.bucket.name", "models".into()), ("target.object.name", "a".into())],
    };
    let reads = |text: &str, caller: &Caller| allows(text, caller, &GET_OBJECT, &bucket);
    let statement =
        "Allow dynamic-group hello to read objects in compartment ai where target.bucket.name = 'models'";
    assert!(reads(statement, &function(FUNCTION)));
    assert!(!reads(statement, &function("ocid1.fnfunc.local..other")));
    assert!(!reads(statement, &user("alice")));
    let elsewhere = "Allow dynamic-group elsewhere to read objects in tenancy";
    assert!(!reads(elsewhere, &function(FUNCTION)), "its compartment is another");
    let any = "Allow any-user to read objects in compartment ai where ALL {request.principal.type='fnfunc', \
               request.principal.id='${function_id}', target.bucket.name='models'}";
    assert!(reads(any, &function(FUNCTION)) && !reads(any, &user("alice")));
    // Over an object that is there one writes only with both permissions, and they may come from two statements.
    let create = "Allow dynamic-group hello to {OBJECT_CREATE} in tenancy";
    let both = format!("{create}\nAllow dynamic-group hello to use objects in tenancy");
    assert!(allows(create, &function(FUNCTION), &PUT_OBJECT, &bucket));
    assert!(!allows(create, &function(FUNCTION), &OVERWRITE_OBJECT, &bucket));
    assert!(allows(&both, &function(FUNCTION), &OVERWRITE_OBJECT, &bucket));
}

#[test]
fn what_is_documented_and_not_emulated_is_accepted_and_said() {
    let text = "Allow group Callers to manage repos in tenancy where target.repo.name = 'ai'\n\
        Allow group Callers to use virtual-network-family in compartment network:shared\n\
        Allow group Callers to read objectstorage-namespaces in tenancy\n\
        Allow service faas to {KEY_READ} in tenancy where request.operation = 'GetKeyVersion'\n\
        Allow group Callers to read fn-invocation in tenancy\n\
        Allow group Nobody to use fn-invocation in tenancy\n\
        Allow group Callers to use fn-invocation in tenancy where any {target.resource.tag.ops.team = 'ai', request.user.name = 'alice'}\n\
        Endorse group Callers to read objects in any-tenancy\n\
        Allow service objectstorage-us-phoenix-1, faas to manage object-family in tenancy";
    let policies = read(text).unwrap();
    let told: Vec<_> = policies.notices().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "1: accepted, not enforced here: the resource type repos",
            "1: accepted, not enforced here: target.repo.name, which has no value here: comparisons with it never hold",
            "2: accepted, not enforced here: the resource type virtual-network-family",
            "3: accepted, not enforced here: the resource type objectstorage-namespaces",
            "4: accepted, not enforced here: the permission KEY_READ",
            "5: accepted, not enforced here: 'read fn-invocation', which permits nothing at all",
            "6: accepted, not enforced here: the group Nobody: the tenancy has none of that name",
            "7: accepted, not enforced here: target.resource.tag.ops.team, which has no value here: comparisons with it never hold",
            "8: accepted, not enforced here: statements across tenancies: there is one tenancy here",
            "9: accepted, not enforced here: service lines: no service of OCI calls here",
        ]
    );
    assert!(invokes(text), "line 7 holds for alice");
}

#[test]
fn what_is_not_documented_is_refused_with_its_place() {
    for (text, told) in [
        (
            "Permit group Callers to use fn-invocation in tenancy",
            "1:1: a statement begins with 'Allow', not \"Permit\"",
        ),
        (
            "\n# x\nDeny group Callers to use fn-invocation in tenancy",
            "3:1: 'Deny' is documented, and not emulated here: to pass over it would allow more than OCI does",
        ),
        (
            "Allow user alice to use fn-invocation in tenancy",
            "1:7: 'group', 'dynamic-group', 'service', 'any-group' or 'any-user' belongs here, not \"user\"",
        ),
        (
            "Allow group Callers to invoke fn-invocation in tenancy",
            "1:24: 'inspect', 'read', 'use' or 'manage' belongs here, not \"invoke\"",
        ),
        (
            "Allow group Callers to raed fn-app in tenancy",
            "1:24: 'inspect', 'read', 'use' or 'manage' belongs here, not \"raed\"; did you mean read?",
        ),
        (
            "Allow group Callers to use fn-invocations in tenancy",
            "1:28: no resource type \"fn-invocations\" is known here; did you mean fn-invocation?",
        ),
        (
            "Allow group Callers to {FN_INVOCATE} in tenancy",
            "1:25: no permission \"FN_INVOCATE\" is known here; if it is one of OCI's, leave its statement out here",
        ),
        (
            "Allow group Callers to use fn-invocation",
            "1:41: the statement ends where 'in' belongs; one line is one statement",
        ),
        (
            "Allow group Callers to use fn-invocation in compartment nowhere",
            "1:57: the tenancy has no compartment \"nowhere\"; it has ai, dev, other",
        ),
        (
            "Allow group Callers to use fn-invocation in compartment dev",
            "1:57: the tenancy has no compartment \"dev\"; it has ai, dev, other",
        ),
        (
            "Allow group Callers to use fn-invocation in compartment id ai",
            "1:60: an OCID belongs here, not \"ai\"",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.fn.id = 'x'",
            "1:59: no variable \"target.fn.id\" is documented",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id = x",
            "1:75: a 'text' in quotes or a /pattern/ belongs here, not \"x\"",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id = ''",
            "1:75: a value may not be empty",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id = 'x",
            "1:75: the closing quote is missing",
        ),
        ("Allow dynamic-group 'g\0roup' to read objects in tenancy", "1:23: '\\0' has no place in a text"),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id == 'x'",
            "1:74: a 'text' in quotes or a /pattern/ belongs here, not \"=\"",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id = /a*b/",
            "1:75: a pattern has a '*' at its beginning, its end, or both: /A-*/, /*-B/, /*-C-*/",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id before 'x'",
            "1:73: '=', '!=' or 'in' belongs here, not \"before\"",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where any {}",
            "1:64: a condition belongs here, not \"}\"",
        ),
        (
            "Allow group Callers to use fn-invocation in tenancy where target.app.id = 'x' and target.app.id = 'y'",
            "1:79: the end of the statement belongs here, not \"and\"",
        ),
        ("Allow group ${ to use fn-invocation in tenancy", "1:13: a placeholder is written ${name}"),
        ("Allow group ${a b} to use fn-invocation in tenancy", "1:13: a placeholder is written ${name}"),
    ] {
        let faults = read(text).map(|_| ()).expect_err(text);
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [told], "{text}");
    }
    // All faults of a file are told at once.
    assert_eq!(
        read("x\ny\nAllow any-user to manage all-resources in tenancy").map(|_| ()).unwrap_err().len(),
        2
    );
}

#[test]
fn a_placeholder_never_leaves_its_token() {
    let names =
        |value: &str| Names::from([("x".into(), value.into()), ("function_id".into(), FUNCTION.into())]);
    let read = |text: &str, value: &str| Policies::read(text, &names(value), tenancy()).map(|_| ());
    let quoted = "Allow any-user to use fn-invocation in tenancy where target.function.id = '${x}'";
    assert!(read(quoted, "a # b").is_ok());
    let told = read(quoted, "a' , target.app.id != 'b").unwrap_err();
    assert!(told[0].to_string().contains("which the placeholder stands for, holds a quote"), "{}", told[0]);
    let told = read(
        "Allow group ${x} to use fn-invocation in tenancy",
        "Callers to manage all-resources in tenancy",
    );
    assert!(told.unwrap_err()[0].to_string().contains("is no word: put it in quotes"));
}

#[test]
fn a_statement_whose_placeholder_has_no_value_waits_and_is_said() {
    let text = "Allow group ${invokers} to use fn-invocation in compartment id ${there}\n\
        Allow group Callers to use fn-invocation in tenancy where target.function.id = '${functoin_id}'\n\
        Allow group Callers to use fn-invocation in tenancy where target.function.id = '${hello_function_id}'\n\
        Allow group ${deployers} to manage repos in tenancy\n\
        Allow group Callers to ${verb} fn-app in tenancy";
    let policies = read(text).unwrap();
    let told: Vec<_> = policies.notices().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "1: accepted, not enforced here: ${invokers} has no value: give one with --policy-var invokers=VALUE; ${there} has no value: give one with --policy-var there=VALUE",
            "2: accepted, not enforced here: ${functoin_id} has no value: give one with --policy-var functoin_id=VALUE; did you mean function_id?",
            "3: accepted, not enforced here: ${hello_function_id} stands for nothing yet: there is none, or there are several (--policy-var hello_function_id=VALUE)",
            "4: accepted, not enforced here: the resource type repos",
            "5: accepted, not enforced here: ${verb} has no value: give one with --policy-var verb=VALUE",
        ]
    );
    assert!(policies.statements().is_empty() && !invokes(text));
    // It excuses nothing else in its line.
    for (text, told) in [
        (
            "Allow group ${invokers} to use fn-invocations in tenancy",
            "1:32: no resource type \"fn-invocations\" is known here; did you mean fn-invocation?",
        ),
        (
            "Allow group ${invokers} to use fn-invocation in compartment id ${there} whree x",
            "1:73: the end of the statement belongs here, not \"whree\"",
        ),
    ] {
        let faults = read(text).map(|_| ()).expect_err(text);
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [told], "{text}");
    }
    // A matching rule waits as well.
    let policies = Policies::read("", &Names::new(), tenancy()).unwrap();
    assert_eq!(
        policies.notices()[0].to_string(),
        "accepted, not enforced here: the matching rule of the dynamic group hello, which has no members: \
         ${function_id} has no value: give one with --policy-var function_id=VALUE"
    );
}

#[test]
fn a_matching_rule_has_its_own_words() {
    for (rule, told) in [
        (
            "resource.typ = 'fnfunc'",
            "character 1 of the matching rule of the dynamic group g: no variable \"resource.typ\" is documented; did you mean resource.type?",
        ),
        (
            "resource.type = /fn*/",
            "character 17 of the matching rule of the dynamic group g: a 'text' in quotes belongs here, not a pattern",
        ),
        (
            "resource.type in ('fnfunc')",
            "character 15 of the matching rule of the dynamic group g: '=' or '!=' belongs here, not \"in\"",
        ),
    ] {
        let mut tenancy = Tenancy::clone(&tenancy());
        tenancy.dynamic_groups = vec![DynamicGroup { id: "g".into(), name: "g".into(), rule: rule.into() }];
        let faults = Policies::read("", &Names::new(), Arc::new(tenancy)).map(|_| ()).unwrap_err();
        assert_eq!(faults[0].to_string(), told);
    }
}

#[test]
fn a_denial_says_what_of_each_statement_does_not_fit() {
    let policies = read(
        "Allow group Deployers to use fn-invocation in tenancy\n\
         Allow group Callers to read functions-family in tenancy\n\
         Allow group Callers to use fn-invocation in compartment other\n\
         Allow group Callers to use fn-invocation in tenancy where all {request.operation = 'InvokeFunction', target.function.id = 'x'}",
    );
    let policies = policies.unwrap();
    let (caller, target) = (user("alice"), target());
    let decision =
        policies.decide(&Request { caller: &caller, operation: &INVOKE_FUNCTION, target: &target });
    let Decision::Denied { permission: "FN_INVOCATION", why } = decision else { panic!("{decision:?}") };
    let told: Vec<_> = why.iter().map(|(statement, why)| (statement.line(), why.to_string())).collect();
    assert_eq!(
        told,
        [
            (1, "it is for others than the caller".to_owned()),
            (2, "it does not grant the permission".to_owned()),
            (3, "it is for another compartment".to_owned()),
            (
                4,
                format!(
                    "its condition does not hold: target.function.id must be 'x', and target.function.id is '{FUNCTION}'"
                )
            ),
        ]
    );
}

/// The statements that the program in `deploy/` makes a policy of, for a stack with all of its parts.
#[test]
fn what_is_deployed_lets_each_do_its_own_and_no_more() {
    let compartment = "ocid1.compartment.local..dev";
    let secret = "ocid1.vaultsecret.local..key";
    let names = [
        ("invokers", "Callers"),
        ("deployers", "Deployers"),
        ("dynamic_group", "hello"),
        ("compartment_id", compartment),
        ("bucket_compartment_id", compartment),
        ("secret_compartment_id", compartment),
        ("gateway_compartment_id", compartment),
        ("traces_compartment_id", compartment),
        ("function_id", FUNCTION),
        ("application_id", APP),
        ("repository", "ai/embed"),
        ("bucket", "models"),
        ("secret_id", secret),
    ];
    let names = names.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let policies = Policies::read(include_str!("../../../deploy/policies.txt"), &names, tenancy()).unwrap();
    let with = |name: &'static str, value: &str| {
        let mut target = target();
        target.variables.retain(|(there, _)| *there != name);
        target.variables.push((name, value.into()));
        target
    };
    let allowed = |caller: &Caller, operation, target: &Target| {
        policies.decide(&Request { caller, operation, target }).is_allowed()
    };
    let (alice, bob, carol, own) = (user("alice"), user("bob"), user("carol"), function(FUNCTION));
    assert!(allowed(&alice, &INVOKE_FUNCTION, &target()));
    assert!(!allowed(&alice, &INVOKE_FUNCTION, &with("target.function.id", "ocid1.fnfunc.local..other")));
    assert!(!allowed(&alice, &UPDATE_FUNCTION, &target()));
    assert!(allowed(&bob, &UPDATE_FUNCTION, &target()));
    assert!(!allowed(&bob, &INVOKE_FUNCTION, &target()), "who deploys does not call");
    for operation in [&INVOKE_FUNCTION, &GET_FUNCTION, &LIST_FUNCTIONS] {
        assert!(!allowed(&carol, operation, &target()), "{}", operation.name);
    }
    let (models, other) = (with("target.bucket.name", "models"), with("target.bucket.name", "other"));
    assert!(allowed(&own, &GET_OBJECT, &models) && !allowed(&own, &GET_OBJECT, &other));
    assert!(!allowed(&own, &PUT_OBJECT, &models) && !allowed(&own, &LIST_BUCKETS, &target()));
    assert!(allowed(&own, &GET_SECRET_BUNDLE, &with("target.secret.id", secret)));
    assert!(!allowed(&own, &GET_SECRET_BUNDLE, &with("target.secret.id", "ocid1.vaultsecret.local..x")));
    let stranger = function("ocid1.fnfunc.local..other");
    assert!(!allowed(&stranger, &GET_OBJECT, &models), "another function is not in the group");
}
