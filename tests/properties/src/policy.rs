//! Any policy file: read, or refused in its place; and nobody is allowed what no single statement allows.
//!
//! The input is the file. A line that begins with `rule:` is the matching rule of the dynamic group `group` instead.

use crate::assert_one_line;
use cargo_fdk::policy::{Caller, INVOKE_FUNCTION, Names, OPERATIONS, Policies, Request, Target};
use cargo_fdk::tenancy::{Compartment, DynamicGroup, Group, Tenancy};
use std::sync::Arc;

const FUNCTION: &str = "ocid1.fnfunc.local..f";
const COMPARTMENT: &str = "ocid1.compartment.local..c";

fn tenancy(rule: &str) -> Arc<Tenancy> {
    Arc::new(Tenancy {
        id: "ocid1.tenancy.local..t".into(),
        name: "laptop".into(),
        namespace: "local".into(),
        compartments: vec![Compartment { id: COMPARTMENT.into(), name: "functions".into(), parent: None }],
        groups: vec![Group { id: "ocid1.group.local..g".into(), name: "callers".into() }],
        dynamic_groups: vec![DynamicGroup {
            id: "ocid1.dynamicgroup.local..d".into(),
            name: "group".into(),
            rule: rule.into(),
        }],
        users: Vec::new(),
    })
}

/// Takes an input through; one that is no text is none.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let rule = text.lines().find_map(|line| line.strip_prefix("rule:")).unwrap_or("resource.type = 'fnfunc'");
    let file: Vec<&str> = text.lines().filter(|line| !line.starts_with("rule:")).collect();
    let names = Names::from([("function_id".into(), FUNCTION.into())]);
    let tenancy = tenancy(rule);
    let policies = match Policies::read(&file.join("\n"), &names, tenancy.clone()) {
        Ok(policies) => policies,
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert_one_line(&fault.to_string());
                let line = fault.line.checked_sub(1).map_or(rule, |line| file[line]);
                assert!((1..=line.chars().count() + 1).contains(&fault.column), "{fault}");
            }
            return;
        }
    };
    for notice in policies.notices() {
        assert_one_line(&notice.to_string());
    }
    let user = Caller::User {
        id: "ocid1.user.local..u".into(),
        name: "u".into(),
        groups: vec!["ocid1.group.local..g".into()],
    };
    let function =
        Caller::Resource { id: FUNCTION.into(), kind: "fnfunc".into(), compartment: COMPARTMENT.into() };
    let target = Target {
        compartment: COMPARTMENT.into(),
        variables: vec![("target.function.id", FUNCTION.into()), ("target.bucket.name", "models".into())],
    };
    let nothing = Policies::none(tenancy.clone());
    for caller in [&user, &function] {
        for operation in OPERATIONS {
            let request = Request { caller, operation, target: &target };
            assert!(!nothing.decide(&request).is_allowed(), "by nothing at all");
            let _ = format!("{:?}", policies.decide(&request));
        }
        let request = Request { caller, operation: &INVOKE_FUNCTION, target: &target };
        let alone = file.iter().any(|line| {
            Policies::read(line, &names, tenancy.clone()).is_ok_and(|one| one.decide(&request).is_allowed())
        });
        assert_eq!(policies.decide(&request).is_allowed(), alone, "together and not alone");
    }
}
