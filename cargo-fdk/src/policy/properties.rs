//! What holds of all statements and all requests.

use super::tests::{APP, FUNCTION, allows, function, read, user};
use super::*;
use proptest::prelude::*;

/// A statement of the words that are enforced here.
fn statements() -> impl Strategy<Value = String> {
    let subject = prop::sample::select(vec![
        "group Callers",
        "group Deployers",
        "group Callers, Deployers",
        "dynamic-group hello",
        "dynamic-group elsewhere",
        "any-user",
        "any-group",
        "group Nobody",
        "service faas",
    ]);
    let verb = prop::sample::select(vec!["inspect", "read", "use", "manage"]);
    let resource = prop::sample::select(vec![
        "fn-app",
        "fn-function",
        "fn-invocation",
        "functions-family",
        "objects",
        "buckets",
        "secret-bundles",
        "all-resources",
        "repos",
    ]);
    let location =
        prop::sample::select(vec!["tenancy", "compartment ai", "compartment ai:dev", "compartment other"]);
    let comparison = || {
        let variable = prop::sample::select(vec![
            "target.function.id",
            "target.app.id",
            "target.bucket.name",
            "request.user.name",
            "request.operation",
            "request.principal.type",
            "request.ad",
        ]);
        let test = prop::sample::select(vec![
            "= 'models'",
            "!= 'models'",
            "= '${function_id}'",
            "= /*a*/",
            "!= /ocid1*/",
            "in ('alice', 'fnfunc')",
            "= 'InvokeFunction'",
            "!= 'user'",
        ]);
        (variable, test).prop_map(|(variable, test)| format!("{variable} {test}"))
    };
    let condition = prop_oneof![
        2 => Just(String::new()),
        1 => comparison().prop_map(|one| format!(" where {one}")),
        1 => (any::<bool>(), prop::collection::vec(comparison(), 1..4)).prop_map(|(all, parts)| {
            format!(" where {} {{{}}}", if all { "all" } else { "any" }, parts.join(", "))
        }),
    ];
    (subject, verb, resource, location, condition).prop_map(
        |(subject, verb, resource, location, condition)| {
            format!("Allow {subject} to {verb} {resource} in {location}{condition}")
        },
    )
}

fn questions() -> impl Strategy<Value = (Caller, &'static Operation, Target)> {
    let callers = vec![
        user("alice"),
        user("bob"),
        user("carol"),
        function(FUNCTION),
        function("ocid1.fnfunc.local..x"),
    ];
    let compartment = prop::sample::select(vec!["ai", "dev", "other", "gone"]);
    let variables = prop::sample::subsequence(
        vec![("target.function.id", FUNCTION), ("target.app.id", APP), ("target.bucket.name", "models")],
        0..=3,
    );
    (prop::sample::select(callers), prop::sample::select(OPERATIONS.to_vec()), compartment, variables)
        .prop_map(|(caller, operation, compartment, variables)| {
            let variables = variables.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            let compartment = format!("ocid1.compartment.local..{compartment}");
            (caller, operation, Target { compartment, variables })
        })
}

proptest! {
    /// What some statements allow, those and one more allow: wherever the one more stands.
    #[test]
    fn a_further_statement_never_takes_a_permission_away(
        some in prop::collection::vec(statements(), 0..6),
        (at, more) in (any::<prop::sample::Index>(), statements()),
        (caller, operation, target) in questions(),
    ) {
        let before = allows(&some.join("\n"), &caller, operation, &target);
        let mut all = some.clone();
        all.insert(at.index(some.len() + 1), more);
        prop_assert!(!before || allows(&all.join("\n"), &caller, operation, &target));
    }

    /// What is allowed is allowed by a statement that alone allows it, for each permission; and without any, nothing is.
    #[test]
    fn nothing_is_allowed_without_a_statement_that_fits(
        some in prop::collection::vec(statements(), 0..6),
        (caller, operation, target) in questions(),
    ) {
        let allowed = allows(&some.join("\n"), &caller, operation, &target);
        let alone = |needed: &'static str| {
            // Of one permission at a time, since two may come from two statements.
            let permissions: &'static [&'static str] = Box::leak(Box::new([needed]));
            let single = Operation { name: operation.name, permissions };
            some.iter().any(|statement| allows(statement, &caller, &single, &target))
        };
        prop_assert_eq!(allowed, operation.permissions.iter().all(|needed| alone(needed)));
        prop_assert!(!allows("", &caller, operation, &target));
    }

    /// Whatever the text is: an answer, and places that are in it.
    #[test]
    fn any_text_is_read_or_refused_in_its_place(text in "\\PC{0,40}|(Allow|group|any-user|to|use|fn-app|in|tenancy|where|any|[ {}(),='/#$\n]|target.app.id|'x'|\\PC){0,30}") {
        if let Err(faults) = read(&text) {
            for fault in faults {
                let line = text.lines().nth(fault.line - 1).unwrap();
                prop_assert!((1..=line.chars().count() + 1).contains(&fault.column), "{}", fault);
                prop_assert!(!fault.to_string().chars().any(char::is_control));
            }
        }
    }
}
