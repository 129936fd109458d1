//! The formats for others: JSON Schemas for editors, and the tables of keys in `docs/experiment-format.md`. Both are made
//! from the tables that the reader itself goes by.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::{
    shape::{Form, Key, Need, Shape, experiment::EXPERIMENT, suite::SUITE, topology::TOPOLOGY},
    units,
};

const NUMBER: &str = r"^[0-9]+(\.[0-9]+)?";
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
const ARM: &str = "^[A-Za-z0-9][A-Za-z0-9._+=%~-]*$";

/// The JSON Schema of experiment files.
pub fn experiment() -> Value {
    file_schema(&EXPERIMENT, "Peerbed experiment")
}

/// The JSON Schema of topology files.
pub fn topology() -> Value {
    file_schema(&TOPOLOGY, "Peerbed topology")
}

/// The JSON Schema of suite files.
pub fn suite() -> Value {
    file_schema(&SUITE, "Peerbed suite")
}

/// Every key of suite files as Markdown, one section for each kind of map.
pub fn suite_tables() -> String {
    tables(&SUITE)
}

/// Every key of experiment files as Markdown, one section for each kind of map.
pub fn experiment_tables() -> String {
    tables(&EXPERIMENT)
}

/// Every key of topology files as Markdown, one section for each kind of map.
pub fn topology_tables() -> String {
    tables(&TOPOLOGY)
}

fn file_schema(shape: &'static Shape, title: &str) -> Value {
    let mut root = map_schema(shape);
    let kinds = reachable(shape).into_iter().skip(1).map(|shape| (id(shape), map_schema(shape)));
    let definitions: Map<String, Value> = kinds.collect();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!(title);
    root["$defs"] = Value::Object(definitions);
    root
}

/// Every kind of map in the order in which a reader meets it, each once.
fn reachable(root: &'static Shape) -> Vec<&'static Shape> {
    fn add(form: &'static Form, found: &mut Vec<&'static Shape>) {
        match form {
            Form::Map(shape) if !found.iter().any(|known| known.name == shape.name) => found.push(shape),
            Form::List(form) | Form::Named(_, form) => add(form, found),
            Form::Either(forms) => forms.iter().for_each(|form| add(form, found)),
            _ => {}
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(shape) = found.get(at).copied() {
        shape.keys.iter().for_each(|key| add(&key.form, &mut found));
        at += 1;
    }
    found
}

/// `a group` → `group`.
fn id(shape: &Shape) -> String {
    let name = shape.name.split_once(' ').map_or(shape.name, |(article, rest)| match article {
        "a" | "an" => rest,
        _ => shape.name,
    });
    name.replace(['–', ' '], "-").to_lowercase()
}

fn map_schema(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let required: Vec<&str> =
        shape.keys.iter().filter(|key| matches!(key.need, Need::Required)).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": shape.doc,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn key_schema(key: &Key) -> Value {
    let mut schema = form_schema(&key.form);
    schema["description"] = json!(key.doc);
    if let Need::Default(value) = key.need {
        schema["default"] = json!(value);
    }
    schema
}

fn form_schema(form: &Form) -> Value {
    let text = |pattern: String| json!({"type": "string", "pattern": pattern});
    match form {
        Form::Name
        | Form::NameOf(
            "AS" | "group" | "content object" | "node" | "topology" | "access profile" | "provider" | "region",
        ) => {
            json!({"type": ["string", "integer"], "pattern": NAME})
        }
        Form::NameOf("arm") => json!({"type": ["string", "integer"], "pattern": ARM}),
        Form::Text | Form::NameOf(_) => json!({"type": "string"}),
        Form::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Number(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
        Form::Rate => text(format!("{NUMBER}(bit|kbit|mbit|gbit)$|^unlimited$")),
        Form::Size(..) => text(format!("{NUMBER}(B|kB|MB|GB|KiB|MiB|GiB|TiB)$")),
        Form::Time(..) => text(format!("{NUMBER}(ns|us|µs|ms|s|min|h)$")),
        Form::Queue => text(format!("{NUMBER}(ns|us|µs|ms|s|min|h|B|kB|MB|GB|KiB|MiB|GiB)$")),
        Form::Share => text(format!("{NUMBER}%$")),
        Form::PerTime => text(format!("{NUMBER}/(s|min|h)$")),
        Form::Difference => json!({"type": ["string", "number"], "pattern": "^-[0-9]", "maximum": 0}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Words(words) => json!({"enum": words}),
        Form::Prefix => text(r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/[0-9]+$".to_owned()),
        Form::Map(shape) => json!({"$ref": format!("#/$defs/{}", id(shape))}),
        Form::List(form) => json!({"type": "array", "items": form_schema(form)}),
        Form::Named(_, form) => json!({"type": ["object", "null"], "additionalProperties": form_schema(form)}),
        Form::Either(forms) => json!({"anyOf": forms.iter().map(form_schema).collect::<Vec<_>>()}),
        Form::Any => json!({}),
    }
}

fn tables(root: &'static Shape) -> String {
    let mut text = String::new();
    for shape in reachable(root) {
        let mut heading = shape.name.to_owned();
        heading[..1].make_ascii_uppercase();
        let _ = write!(text, "### {heading}\n\n{}\n\n", shape.doc);
        text.push_str("| Key | Value | Without it | Meaning |\n|---|---|---|---|\n");
        for key in shape.keys {
            let without = match key.need {
                Need::Required => "required".to_owned(),
                Need::Default(value) => format!("`{value}`"),
                Need::Optional(meaning) => meaning.to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {} | {without} | {} |", key.name, describe(&key.form), key.doc);
        }
        text.push('\n');
    }
    text
}

/// What a value looks like, for people.
fn describe(form: &Form) -> String {
    match form {
        Form::Text => "text".to_owned(),
        Form::Name => "a name".to_owned(),
        Form::NameOf(kind @ ("AS" | "arm" | "access profile" | "experiment")) => format!("the name of an {kind}"),
        Form::NameOf(kind) => format!("the name of a {kind}"),
        Form::Whole(least, most) => format!("{least} to {most}"),
        Form::Number(least, most) if *most > 1e9 => format!("a number from {least}"),
        Form::Number(least, most) => format!("a number from {least} to {most}"),
        Form::Rate => "a rate (`10mbit`), 1kbit to 400gbit, or `unlimited`".to_owned(),
        Form::Size(least, most) => {
            format!("a size (`64MiB`), {} to {}", units::show_size(*least), units::show_size(*most))
        }
        Form::Time(least, most) => {
            format!("a time (`20ms`), {} to {}", units::show_time(*least), units::show_time(*most))
        }
        Form::Queue => "a time (`100ms`), 1ms to 60s, or a size (`64KiB`), 1500B to 1GiB".to_owned(),
        Form::Share => "a percentage (`31%`)".to_owned(),
        Form::PerTime => "a frequency (`0.5/s`, `30/min`, `2/h`)".to_owned(),
        Form::Difference => "such a value with `-` before it".to_owned(),
        Form::Flag => "`true` or `false`".to_owned(),
        Form::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Form::Prefix => "addresses (`10.1.0.0/16`)".to_owned(),
        Form::Map(shape) => {
            format!("[{}](#{})", shape.name, shape.name.replace(' ', "-").replace('–', "").to_lowercase())
        }
        Form::List(form) => format!("a list of: {}", describe(form)),
        Form::Named(what, form) => format!("a map, {what} → {}", describe(form)),
        Form::Either(forms) => forms.iter().map(describe).collect::<Vec<_>>().join("; or "),
        Form::Any => "what belongs there".to_owned(),
    }
}
