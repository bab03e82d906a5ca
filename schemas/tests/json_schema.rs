//! The committed JSON Schemas against what is read and written: the ranges that an editor is given against the rules that a
//! config is checked by, what a record must have against records. Whether the files are what the types make is xtask's to
//! test.

use serde_json::{Value, json};
use sparsight_schemas::{Config, ParseError, ScoreRecord, Valid};

/// Numbers that may be anything, as far as their type goes.
const FREE: &[&str] = &["seed", "sparse_coding.max_atoms", "optimizer.warm_up", "training.steps"];

/// Settings that let the others take every value of their range: four stages of stride 2 for the
/// cells, the largest first lambda, a reference for its floor, no reconstruction for anomalies.
fn permissive() -> Value {
    json!({
        "backbone": {"widths": [8, 8, 8, 8], "strides": [2, 2, 2, 2], "image_shortcut": true},
        "sparse_coding": {"lambda_max": 1e9},
        "scoring": {"reference": true},
        "objective": {"eta_rec": 0.0, "eta_cd": 1.0, "eta_dense": 1.0},
    })
}

/// Every property below `schema`, as (path, schema).
fn properties(root: &Value, schema: &Value, path: &str) -> Vec<(String, Value)> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &root["$defs"][reference.trim_start_matches("#/$defs/")],
        None => schema,
    };
    let Some(fields) = schema["properties"].as_object() else {
        return vec![(path.to_owned(), schema.clone())];
    };
    let join = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
    fields.iter().flat_map(|(name, field)| properties(root, field, &join(name))).collect()
}

/// Whether a config in which the property at `path` is `number`, or a list of it, keeps the rules of that property.
fn allowed(path: &str, list: bool, number: &Value) -> bool {
    let mut config = permissive();
    let value = match (list, path) {
        (false, _) => number.clone(),
        (true, "backbone.widths" | "backbone.strides") => json!([number, number, number, number]),
        (true, _) => json!([number, number]),
    };
    let mut place = &mut config;
    for key in path.split('.') {
        place = &mut place[key];
    }
    *place = value;
    match Valid::<Config>::parse(&config.to_string()) {
        Ok(_) => true,
        Err(ParseError::Rule { violation, .. }) => !concerns(violation.field(), path),
        Err(ParseError::Form(error)) => panic!("{path}, {number}: {error}"),
    }
}

/// All kinds of patches have one rule.
fn concerns(field: &str, path: &str) -> bool {
    path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with('.'))
}

#[test]
fn the_json_schema_gives_every_number_of_a_config_the_range_that_the_rules_give_it() {
    let root: Value = serde_json::from_str(include_str!("../json/config.schema.json")).unwrap();
    let mut numbers = 0;
    for (path, property) in properties(&root, &root, "") {
        let list = property.get("items").is_some();
        let range = if list { &property["items"] } else { &property };
        let kinds = range["type"].as_array().cloned().unwrap_or_else(|| vec![range["type"].clone()]);
        let whole = kinds.contains(&json!("integer"));
        if !whole && !kinds.contains(&json!("number")) {
            continue;
        }
        numbers += 1;
        let expect = |number: Value, expected: bool| {
            assert_eq!(allowed(&path, list, &number), expected, "{path}: {number}, the schema: {range}");
        };
        let limits =
            ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"].map(|k| range[k].as_f64());
        if FREE.contains(&path.as_str()) {
            assert_eq!(limits, [Some(0.0), None, None, None], "{path}");
            expect(json!(0), true);
            expect(json!(u32::MAX), true);
            continue;
        }
        let [least, above, most, below] = limits;
        assert!(least.is_some() != above.is_some(), "{path}: no lower limit");
        let number = |x: f64| if whole { json!(x as u64) } else { json!(x) };
        let step = match (&range["multipleOf"], &range["not"]["multipleOf"]) {
            (Value::Null, Value::Null) => 1.0,
            (multiple, Value::Null) => multiple.as_f64().unwrap(),
            (_, odd) => odd.as_f64().unwrap(),
        };
        if let Some(least) = least {
            expect(number(least), true);
            match whole {
                true if least == 0.0 => {} // the type has none below
                true => expect(number(least - 1.0), false),
                false => expect(number(least - 1e-6), false),
            }
        }
        if let Some(above) = above {
            expect(number(above), false);
            expect(number(above + 1e-6), true);
        }
        if let Some(most) = most {
            expect(number(most), true);
            expect(number(if whole { most + step } else { most * (1.0 + 1e-6) }), false);
        }
        if most.is_none() && below.is_none() {
            expect(number(1e9), true);
        }
        if let Some(below) = below {
            expect(number(below), false);
            expect(number(below - 1e-6), true);
        }
        if step > 1.0 {
            expect(number(least.unwrap() + 1.0), false);
            expect(number(least.unwrap() + step), true);
        }
    }
    assert!(numbers > 40, "{numbers} numbers");
}

#[test]
fn the_json_schema_gives_lists_of_stages_the_length_that_the_rules_give_them() {
    let root: Value = serde_json::from_str(include_str!("../json/config.schema.json")).unwrap();
    for field in ["widths", "strides"] {
        let list = &root["$defs"]["BackboneConfig"]["properties"][field];
        let (fewest, most) = (list["minItems"].as_u64().unwrap(), list["maxItems"].as_u64().unwrap());
        for stages in 0..6 {
            let [widths, strides] = [8, 1].map(|value| vec![value; stages as usize]);
            let config = json!({"backbone": {"widths": widths, "strides": strides}});
            let valid = Valid::<Config>::parse(&config.to_string()).is_ok();
            assert_eq!(valid, (fewest..=most).contains(&stages), "{field}: {stages}");
        }
    }
}

#[test]
fn a_record_has_what_the_json_schema_requires_of_it_also_where_the_image_failed() {
    let schema: Value = serde_json::from_str(include_str!("../json/score_record.schema.json")).unwrap();
    let failed =
        ScoreRecord { image: "a.png".into(), error: Some("is damaged".into()), ..Default::default() };
    let record = serde_json::to_value(&failed).unwrap();
    let required = schema["required"].as_array().unwrap();
    assert!(required.len() >= 5 && required.iter().all(|name| record.get(name.as_str().unwrap()).is_some()));
    for (name, value) in record.as_object().unwrap() {
        let types = &schema["properties"][name]["type"];
        let kind = if value.is_null() { "null" } else { "string" };
        assert!(
            types == kind || types.as_array().is_some_and(|types| types.contains(&json!(kind))),
            "{name}: {types}"
        );
    }
}
