use super::*;
use proptest::prelude::*;
use serde_json::json;

fn grammar(schema: Value) -> Grammar {
    Grammar::compile(&schema.into(), &Interrupt::never()).unwrap()
}

fn takes(grammar: &Grammar, text: &str) -> bool {
    grammar.walk(&grammar.start(), text.as_bytes()).is_some_and(|state| grammar.is_whole(&state))
}

fn refusal(schema: Value) -> (String, String) {
    let error = Grammar::compile(&schema.into(), &Interrupt::never()).unwrap_err();
    (error.path().unwrap().to_owned(), error.to_string())
}

#[test]
fn what_a_schema_has_is_taken_and_nothing_else() {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": {"type": "string", "maxLength": 3},
            "b": {"type": ["integer", "null"], "minimum": 1, "maximum": 12},
            "c": {"type": "array", "items": {"enum": ["x", "xy", 3]}, "minItems": 1, "maxItems": 2},
            "d": {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
        },
        "required": ["b"],
        "additionalProperties": false,
    });
    let grammar = grammar(schema);
    for (text, good) in [
        (r#"{"b": 1}"#, true),
        (r#"{"b": 12}"#, true),
        (r#"{"b": 13}"#, false),
        (r#"{"b": null}"#, true),
        (r#"{"a": "été", "b": 2, "c": ["xy", 3], "d": false}"#, true),
        (r#"{"b": 2, "d": "t"}"#, true),
        (r#"{"b": 2, "c": []}"#, false),
        (r#"{"b": 2, "c": ["x", "x", "x"]}"#, false),
        (r#"{"b": 2, "c": ["z"]}"#, false),
        (r#"{"a": "four", "b": 2}"#, false),
        (r#"{"a": "one"}"#, false),
        (r#"{"b": 2, "e": 1}"#, false),
        (r#"{"b": 2, }"#, false),
        ("{}", false),
        ("7", false),
    ] {
        assert_eq!(takes(&grammar, text), good, "{text}");
    }
    let forced = |state: &State| grammar.forced(state, &Interrupt::never()).unwrap().0;
    assert_eq!(forced(&grammar.start()), b"{\"", "then there is a choice");
    let after = grammar.walk(&grammar.start(), br#"{"a"#).unwrap();
    assert_eq!(forced(&after), br#"": ""#);
    assert_eq!(grammar.shortest_rest(&after), br#"": "", "b": 1}"#);
}

#[test]
fn any_value_is_taken_where_nothing_is_said() {
    let grammar = grammar(json!({}));
    for text in [r#"{"k": [1, -2.5, {"": null}], "l": "\n"}"#, "[]", "true", "0.5", r#""""#] {
        assert!(takes(&grammar, text), "{text}");
    }
    for text in ["{1: 2}", "[1,2]", "nul", "01", "[1"] {
        assert!(!takes(&grammar, text), "{text}");
    }
    assert!(takes(&grammar, &format!("{}{}", "[".repeat(100), "]".repeat(100))));
    assert!(
        !takes(&grammar, &format!("{}{}", "[".repeat(102), "]".repeat(102))),
        "no reader takes all depths"
    );
}

#[test]
fn a_schema_may_refer_to_itself() {
    let tree = json!({"$ref": "#/$defs/tree", "$defs": {"tree": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
        "required": ["name", "parts"],
    }}});
    let grammar = grammar(tree);
    assert!(takes(&grammar, r#"{"name": "a", "parts": [{"name": "b", "parts": []}]}"#));
    let (_, message) = refusal(json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}));
    assert_eq!(message, "a $ref leads to itself with no object or array between");
    let endless = json!({"properties": {"a": {"$ref": "#"}}, "required": ["a"]});
    assert_eq!(refusal(endless).1, "no value fits it");
}

/// Definitions by number, each made from the name of the one before it.
fn chain(count: usize, one: impl Fn(String) -> Value) -> serde_json::Map<String, Value> {
    let definition = |number: usize| match number {
        0 => json!({"type": "boolean"}),
        _ => one(format!("#/$defs/{}", number - 1)),
    };
    (0..count).map(|number| (number.to_string(), definition(number))).collect()
}

#[test]
fn schemas_that_are_too_deep_in_one_another_are_refused_at_their_place() {
    let one = |before: String| json!({"$ref": before});
    let referring = |count: usize| {
        let last = format!("#/$defs/{}", count - 1);
        json!({"$ref": last, "$defs": chain(count, one)})
    };
    // The root is one of the 64.
    assert!(takes(&grammar(referring(63)), "true"));
    let (place, message) = refusal(referring(4000));
    assert_eq!(place, format!("schema{}", ".$ref".repeat(64)));
    assert_eq!(
        message,
        "schemas are over 64 deep in one another here; what a $ref leads to counts as within it"
    );
    let nested = |count: usize| (1..count).fold(json!({"type": "null"}), |inner, _| json!({"items": inner}));
    assert!(takes(&grammar(nested(64)), "[[]]"));
    assert_eq!(refusal(nested(65)).0, format!("schema{}", ".items".repeat(64)));
}

#[test]
fn choices_of_choices_are_followed_once_each() {
    // From the first definition on, so that none is deep when it is compiled; followed one by one there would be 2⁹⁹⁹ ways.
    let one = |before: String| json!({"anyOf": [{"$ref": &before}, {"$ref": &before}]});
    let all: Vec<Value> = (0..1000).map(|number| json!({"$ref": format!("#/$defs/{number}")})).collect();
    let grammar = grammar(json!({"anyOf": all, "$defs": chain(1000, one)}));
    assert!(takes(&grammar, "true") && takes(&grammar, "false") && !takes(&grammar, "null"));
    let begun = grammar.walk(&grammar.start(), b"f").unwrap();
    assert_eq!(grammar.shortest_rest(&begun), b"alse");
}

#[test]
fn ways_that_double_are_followed_up_to_a_bound() {
    // Each bracket may be of either list: after forty there are 2⁴⁰ ways to read them.
    let list = json!({"type": "array", "items": {"$ref": "#/$defs/a"}});
    let filled = json!({"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1});
    let doubling = json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [filled, list]}}});
    let grammar = grammar(doubling);
    let begun = "[".repeat(40);
    let state = grammar.walk(&grammar.start(), begun.as_bytes()).unwrap();
    assert_eq!(state.threads(), THREADS);
    let whole = begun + &String::from_utf8(grammar.shortest_rest(&state)).unwrap();
    assert!(takes(&grammar, &whole), "{whole}");
}

#[test]
fn how_wide_a_schema_may_be_is_said() {
    let choices =
        |count: usize| json!({"anyOf": (0..count).map(|value| json!({"const": value})).collect::<Vec<_>>()});
    assert!(takes(&grammar(choices(256)), "255"));
    assert_eq!(
        refusal(choices(257)).1,
        "anyOf has 257 alternatives, and 256 are the most: fixed values take one enum"
    );
    let optional = |count: usize| {
        let names = (0..count).map(|name| (format!("k{name}"), json!({"type": "null"})));
        json!({"properties": names.collect::<serde_json::Map<_, _>>()})
    };
    assert!(takes(&grammar(optional(255)), r#"{"k100": null}"#));
    assert_eq!(
        refusal(optional(256)).1,
        "256 properties in a row are not required, and 255 are the most: put some into required"
    );
    let long = json!({"const": "c".repeat(70_000)});
    assert_eq!(refusal(long).1, "a value has 70002 bytes, and 65536 are the most");
}

#[test]
fn what_is_in_a_schema_once_is_compiled_once() {
    let names: Vec<String> = (0..2000).map(|name| format!("k{name}")).collect();
    let product = json!({"required": names, "additionalProperties": {"required": names}});
    assert!(
        Grammar::compile(&product.into(), &Interrupt::never()).is_err(),
        "its shortest value is too long"
    );
    let names = &names[..50];
    let product = json!({"required": names, "additionalProperties": {"required": names}});
    let grammar = grammar(product);
    let of_any = self::grammar(json!({})).nodes.len();
    assert_eq!(grammar.nodes.len(), of_any + 2);
    let repeated = json!({"type": vec!["object"; 1000], "required": names});
    assert_eq!(self::grammar(repeated).nodes.len(), of_any + 1);
}

#[test]
fn an_interrupt_ends_the_work_on_a_schema() {
    let properties: serde_json::Map<_, _> =
        (0..200).map(|name| (format!("k{name}"), json!({"type": "null"}))).collect();
    let schema: Schema = json!({"properties": properties}).into();
    let asked = std::cell::Cell::new(0);
    let soon = || {
        asked.set(asked.get() + 1);
        asked.get() > 100
    };
    let stopped = Grammar::compile(&schema, &Interrupt::when(&soon)).unwrap_err();
    assert!(stopped.is_interrupted() && asked.get() == 101);
    let forced = grammar(json!({"const": "a".repeat(1000)}));
    assert!(forced.forced(&forced.start(), &Interrupt::when(&soon)).unwrap_err().is_interrupted());
}

#[test]
fn what_is_not_obeyed_is_refused_by_name() {
    let (path, message) = refusal(json!({"properties": {"a": {"type": "string", "pattern": "^x"}}}));
    assert_eq!(path, "schema.properties.a.pattern");
    assert!(
        message.starts_with("the keyword pattern is not supported; supported are type, properties"),
        "{message}"
    );
    assert_eq!(refusal(json!({"type": "text"})).0, "schema.type");
    assert_eq!(refusal(json!({"anyOf": [{"type": "string"}], "minLength": 2})).0, "schema.minLength");
    assert_eq!(refusal(json!({"enum": [1], "type": "string"})).1, "no value of it fits its type");
    assert_eq!(refusal(json!({"$ref": "#/x"})).1, "there is no '#/x' in the schema");
    assert_eq!(refusal(json!({"type": "integer", "minimum": 3, "maximum": 2})).1, "no value fits it");
    assert_eq!(
        refusal(json!({"type": "string", "minLength": 100_000})).1,
        "its shortest value has 100002 bytes, and 65536 are the most"
    );
    assert_eq!(refusal(json!({"type": "array", "minItems": 3, "maxItems": 2})).0, "schema.maxItems");
    assert_eq!(refusal(json!(3)).1, "a schema is an object, or true");
    let closed = json!({"required": ["a"], "additionalProperties": false});
    assert_eq!(refusal(closed).1, "'a' is required and not allowed");
}

/// Whether a value fits a schema, as a validator has it that knows nothing of this grammar.
pub(crate) fn fits(value: &Value, schema: &Value) -> bool {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("schema.json", schema.clone()).unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(value, schema).is_ok()
}

/// Schemas of all that is supported.
pub(crate) fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0_u32..4, 0_u32..5).prop_map(|(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more})),
        (-1500_i32..1500, 0_i32..400).prop_map(|(least, more)| json!({"type": "integer", "minimum": least, "exclusiveMaximum": least + more + 1})),
        (-90_i32..90, 1_i32..50).prop_map(|(least, more)| json!({"type": "number", "exclusiveMinimum": f64::from(least) / 8.0, "maximum": f64::from(least + more) / 8.0})),
        Just(json!({"type": ["boolean", "null", "number"]})),
        Just(json!({"enum": ["a", "ab", "é\n", 1, 12, -0.5, null, {"x": [1, 2]}]})),
        Just(json!({"const": {"k": "v"}})),
        Just(json!({"type": "string"})),
        Just(json!({})),
        Just(json!({"type": "object"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let fields = proptest::collection::vec((prop_oneof![Just("a"), Just("ab"), Just("é\""), Just("")], inner.clone(), any::<bool>()), 0..4);
        prop_oneof![
            (inner.clone(), 0_u32..3, 0_u32..3).prop_map(|(items, least, more)| json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})),
            inner.clone().prop_map(|values| json!({"type": "object", "additionalProperties": values})),
            proptest::collection::vec(inner, 1..4).prop_map(|choices| json!({"anyOf": choices})),
            fields.prop_map(|fields| {
                let required: Vec<&str> = fields.iter().filter(|field| field.2).map(|field| field.0).collect();
                let mut required = required;
                required.sort_unstable();
                required.dedup();
                let properties: serde_json::Map<String, Value> =
                    fields.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn wherever_it_is_left_the_shortest_end_is_valid(schema in schemas(), walk in proptest::collection::vec(any::<u8>(), 0..60)) {
        let grammar = grammar(schema.clone());
        let (mut state, mut text) = (grammar.start(), Vec::new());
        for choice in walk {
            let mut next = State::default();
            let possible: Vec<u8> = (0..=u8::MAX).filter(|byte| {
                grammar.step(&state, *byte, &mut next);
                !next.is_dead()
            }).collect();
            let Some(byte) = possible.get(usize::from(choice) % possible.len().max(1)) else { break };
            state = grammar.walk(&state, &[*byte]).unwrap();
            text.push(*byte);
        }
        text.extend(grammar.shortest_rest(&state));
        let value: Value = serde_json::from_slice(&text).map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&text))))?;
        prop_assert!(fits(&value, &schema), "{value} for {schema}");
        let end = grammar.walk(&grammar.start(), &text);
        prop_assert!(end.is_some_and(|end| grammar.is_whole(&end)), "{value}");
    }
}
